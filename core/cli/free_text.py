"""Carry free text past Hydra's grammar and OmegaConf's interpolation, byte for byte.

Quoting alone is not enough: OmegaConf still reads `${…}` and `???` inside quoted strings. So each free text on
the command line is replaced by a plain token before Hydra sees it, and put back into the composed values.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from typing import Any


class Sealed:
    """Free texts taken out of a command line, by token.

    paths: of the fields that hold free text. nullable: those in which the word null means no value.
    """

    def __init__(self, paths: Iterable[str], nullable: Iterable[str] = ()) -> None:
        self.paths, self.nullable = frozenset(paths), frozenset(nullable)
        self.text_by_token: dict[str, str] = {}

    def seal(self, override: str, several: Collection[str] = ()) -> str:
        """Return the override with its value replaced by a token, if its key is a free-text field.

        several: fields that take several values, separated by commas; each gets a token of its own.
        """
        key, equals, text = override.partition("=")
        name = key.lstrip("+")
        if not equals or name not in self.paths or (text == "null" and name in self.nullable):
            return override
        texts = text.split(",") if name in several else [text]
        return f"{key}={','.join(self._token(part) for part in texts)}"

    def _token(self, text: str) -> str:
        token = f"free-text-{len(self.text_by_token)}-{secrets.token_hex(8)}"
        self.text_by_token[token] = text
        return token

    def open(self, text: str) -> str:
        """Return the text with every token in it replaced by what was typed."""
        for token, typed in self.text_by_token.items():
            text = text.replace(token, typed)
        return text

    def open_all(self, content: Any) -> Any:
        """Return a container of config values in which every token is replaced by what was typed."""
        if isinstance(content, dict):
            return {key: self.open_all(value) for key, value in content.items()}
        if isinstance(content, list):
            return [self.open_all(value) for value in content]
        return self.open(content) if isinstance(content, str) else content
