"""Text on pictures: a font that has the letters, and lines that fit. matplotlib's DejaVu is on every machine.

For letters that DejaVu lacks (Chinese, Japanese, Korean) a well-known font of the machine is taken if there is one;
else such letters are drawn as empty boxes.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

INK, SOFT = "#1f2933", "#7b878d"
_OTHERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "Arial Unicode MS",
)


def font_for(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return a font in pixels that has the letters of a text, or DejaVu where no font has them."""
    path = _dejavu(bold)
    letters = frozenset(map(ord, text)) - _SPACES
    if not letters <= _letters(path):
        path = next((other for other in _others() if letters <= _letters(other)), path)
    return ImageFont.truetype(path, size)


def lines_of(text: str, font: ImageFont.FreeTypeFont, width: float, most: int) -> list[str]:
    """Return a text in at most `most` lines of at most `width` pixels, an ellipsis where it is cut off.

    Lines end between words, and inside a word only where it is longer than a line. Signs that cannot be printed are
    left out; a text without any others has no line.
    """
    lines = list(_filled(printable(text).split(), font, width))
    if len(lines) <= most:
        return lines
    kept, last = lines[: most - 1], lines[most - 1]
    while last and font.getlength(f"{last}…") > width:
        last = last[:-1]
    return [*kept, f"{last.rstrip()}…"]


def printable(text: str) -> str:
    """Return a text in one line without signs that steer terminals and readers (Unicode's Cc, Cf, Cs, Co, Cn)."""
    return " ".join("".join(map(_shown, text)).split())


def _shown(sign: str) -> str:
    kind = unicodedata.category(sign)
    if kind == "Cf":  # joins letters and turns directions: has no width itself
        return ""
    return " " if kind[0] == "C" else sign


def _filled(words: list[str], font: ImageFont.FreeTypeFont, width: float) -> Iterator[str]:
    line = ""
    for word in words:
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _pieces(word, font, width)
        yield from whole
    if line:
        yield line


def _pieces(word: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Cut a word where it is longer than a line; each piece has at least one letter."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(pieces[-1] + letter) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _dejavu(bold: bool) -> str:  # noqa: FBT001
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name)


_SPACES = frozenset(map(ord, " \t\n\r…"))


@functools.lru_cache(maxsize=16)
def _letters(path: str) -> frozenset[int]:
    return frozenset(FT2Font(path).get_charmap())


@functools.cache
def _others() -> tuple[str, ...]:
    from matplotlib.font_manager import fontManager  # lists the machine's fonts, which takes seconds once

    paths = {entry.name: entry.fname for entry in reversed(fontManager.ttflist)}
    return tuple(paths[name] for name in _OTHERS if name in paths)
