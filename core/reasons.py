"""Tables of reason codes: each code has one sentence, and errors are made from the code alone.

Every package that refuses something has its table: `core/<folder>/reasons.py` or `apps/<app>/reasons.py`. A code is
stable; its sentence is for people. Where a sentence may stand in a log, it takes numbers only, never text of an input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from core.errors import TriptychError

E = TypeVar("E", bound=TriptychError)


class Reasons(Generic[E]):
    """The codes that one kind of error can have: calling it with a code returns the error to raise.

    error: class of the errors. about: what is refused for these reasons, the heading of the table in the documentation.
    sentences: code → sentence, with the values to fill in as `str.format` names them.
    """

    def __init__(self, error: type[E], about: str, sentences: Mapping[str, str]) -> None:
        self.error, self.about, self.sentences = error, about, dict(sentences)

    def __call__(self, code: str, /, **values: object) -> E:
        """Return the error of a code. Raises KeyError for a code, or a value, that the table lacks."""
        return self.error(code, self.sentence(code, **values))

    def sentence(self, code: str, /, **values: object) -> str:
        """Return the sentence of a code with its values filled in."""
        return self.sentences[code].format(**values)
