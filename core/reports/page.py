"""One self-contained HTML page from plain pieces: tiles, tables, facts, figures, notices, cards.

The page carries its style and pictures inside, needs no script and no network, follows the reader's light or dark
setting, and prints. Text is escaped; only `Markup` (an inline SVG of ours) goes in as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Tile:
    """A key figure: what it is, its value, and its unit or a short remark."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A table cell that shows a share (0..1) as a bar beside its text."""

    share: float
    text: str


@dataclass(frozen=True)
class Link:
    """A table cell that leads to an anchor on the same page."""

    anchor: str
    text: str


@dataclass(frozen=True)
class Column:
    """A column head; numeric columns are set flush right with figures of equal width."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is its head. Raises ValueError on a row of another length."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str | Bar | Link]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row has {len(row)} cells, wanted {len(self.columns)}")


@dataclass(frozen=True)
class Facts:
    """Names and values, set as a definition list."""

    kind: ClassVar[str] = "facts"
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figure:
    """A picture as inline SVG (`core.reports.picture`, `core.reports.plots.to_svg`) with a caption."""

    kind: ClassVar[str] = "figure"
    image: Markup
    caption: str = ""


@dataclass(frozen=True)
class Gallery:
    """Figures side by side."""

    kind: ClassVar[str] = "gallery"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Notice:
    """A paragraph that must not be overlooked. tone: "plain", "good" or "warning"."""

    kind: ClassVar[str] = "notice"
    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Card:
    """One thing in detail: a title with a badge, facts, and figures side by side."""

    kind: ClassVar[str] = "card"
    title: str
    anchor: str
    badge: str = ""
    facts: Facts = field(default_factory=lambda: Facts(()))
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Links:
    """Ways to other pages: what a reader gets there, and its address relative to this page."""

    kind: ClassVar[str] = "links"
    pairs: Sequence[tuple[str, str]]


Block = Table | Facts | Figure | Gallery | Text | Notice | Card | Links


@dataclass(frozen=True)
class PageSection:
    """A heading and the blocks below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The page: title, a lead sentence, key figures, sections, and a closing line at the foot."""

    title: str
    subtitle: str
    sections: Sequence[PageSection]
    tiles: Sequence[Tile] = ()
    eyebrow: str = ""
    footer: str = ""

    def render(self) -> str:
        """Return the HTML; the same page gives the same text."""
        style = (_HERE / "page.css").read_text(encoding="utf-8")
        return _environment().get_template("page.html.j2").render(page=self, style=Markup(style))


def _environment() -> Environment:
    # S701 does not apply: everything is escaped, by default and without exception.
    return Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
