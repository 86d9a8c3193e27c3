"""Prompts out of a text file, and file names that say what was asked for."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from apps.imagegen.reasons import INPUT

LARGEST = 64 * 2**20  # bytes of a prompts file
_NAMED = 40  # characters of a prompt that go into a file's name
_NAME_BYTES = 120  # of 255 that file systems allow
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Prompt:
    """What to draw, and the line of the file that says so (1 is the first)."""

    text: str
    line: int = 1


def read_prompts(path: Path) -> list[Prompt]:
    """Return a file's prompts, one a line; blank lines and those that begin with # are skipped.

    UTF-8, with or without a byte order mark; any line ends. What a prompt may hold is for `recipe.check` to say. Raises
    InputError: prompts_unreadable, prompts_too_large, prompts_utf16, prompts_not_utf8, prompts_empty.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise INPUT("prompts_too_large", path=path, most=LARGEST // 2**20)
        data = path.read_bytes()
    except OSError as error:
        raise INPUT("prompts_unreadable", path=path, cause=error.strerror) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith(_UTF16):
            raise INPUT("prompts_utf16", path=path) from None
        raise INPUT("prompts_not_utf8", path=path, line=_line(data, error.start)) from None
    prompts = [
        Prompt(line.strip(), number)
        for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not prompts:
        raise INPUT("prompts_empty", path=path)
    return prompts


def stem_of(prompt: str) -> str:
    """Return a prompt as a part of a file name: letters and digits of any script, lower case, hyphens between them.

    At most 40 characters, cut between words where that can be; never empty.
    """
    plain = unicodedata.normalize("NFKC", prompt).lower()
    words = "".join(sign if unicodedata.category(sign)[0] in "LNM" else " " for sign in plain).split()
    name = "-".join(words)
    if len(name) > _NAMED:
        cut = name[: _NAMED + 1].rpartition("-")[0]
        name = cut if len(cut) >= _NAMED // 2 else name[:_NAMED]
    short = name.encode("utf-8", "ignore")[:_NAME_BYTES].decode("utf-8", "ignore")
    return short.strip("-") or "picture"


def _line(data: bytes, position: int) -> int:
    return len(re.findall(rb"\r\n|\n|\r", data[:position])) + 1
