"""Markdown that the generated pages share: tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")
_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\`*_\[\]{}])")
_IMAGE = re.compile(r"!\[([^\]]*)\]\((?!https?:)[^)\s]+\)\n?")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell may hold Markdown, a vertical bar or a line break in it does not break the table."""
    lines = [_row(header), _row(["---"] * len(header))]
    return "\n".join([*lines, *(_row(row) for row in rows)]) + "\n"


def code(text: object) -> str:
    """Return text as inline code; empty text stays empty."""
    return f"`{text}`" if str(text) else ""


def escaped(text: str) -> str:
    """Return plain text so that Markdown shows it as it is; what stands between backticks stays code."""
    parts = _CODE.split(text)
    return "".join(part if _CODE.fullmatch(part) else _plain(part) for part in parts)


def without_local_links(text: str) -> str:
    """Return a page of the repository for the site: links to files that the site lacks become their paths."""
    return _LINK.sub(
        lambda match: f"{match[1]} (`{match[2]}`)" if match[1] != match[2] else f"`{match[2]}`",
        _IMAGE.sub("", text),
    )


def _plain(text: str) -> str:
    # Markdown has no backslash escape for < and >.
    return _SPECIAL.sub(r"\\\1", text).replace("<", "&lt;").replace(">", "&gt;")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
