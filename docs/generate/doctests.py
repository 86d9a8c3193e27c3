"""Show the examples of docstrings as code: griffe calls this for each object that a page of the site shows."""

from __future__ import annotations

import re
from typing import Any

import griffe

# From a line that starts with >>> to the next blank line.
_EXAMPLE = re.compile(r"^>>> .*(?:\n.*\S.*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """Return a docstring with each of its examples in a code block."""
    return _EXAMPLE.sub(lambda match: f"```pycon\n{match[0]}\n```", text)


class Doctests(griffe.Extension):
    """Fences the examples of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called once for each object, when it is loaded."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)
