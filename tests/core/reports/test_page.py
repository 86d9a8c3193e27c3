from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from core.reports.page import (
    Bar,
    Block,
    Card,
    Column,
    Facts,
    Figure,
    Gallery,
    Link,
    Notice,
    Page,
    PageSection,
    Table,
    Text,
    Tile,
)

SVG = Markup('<svg viewBox="0 0 1 1" role="img" aria-label="nothing"></svg>')
VOID = {"meta", "link", "br", "img"}


class Balance(HTMLParser):
    """Raises on a tag that is closed out of turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page(*blocks: Block) -> Page:
    return Page(
        "Title <1>",
        "Lead & more",
        [PageSection("First", blocks)],
        [Tile("Count", "3", "in all")],
        "Brow",
        "Foot",
    )


def every_block() -> list[Block]:
    figure = Figure(SVG, "A caption")
    return [
        Table(
            "Rows", [Column("Name"), Column("Share", numeric=True)], [[Link("one", "One"), Bar(0.5, "0.50")]]
        ),
        Facts([("Spacing", "1 mm")]),
        figure,
        Gallery([figure, figure]),
        Text("A paragraph"),
        Notice("Look out", "warning"),
        Card("One", "one", "best", Facts([("Size", "2")]), [figure]),
    ]


def test_every_block_is_shown_and_tags_are_balanced() -> None:
    blocks = every_block()
    assert len({block.kind for block in blocks}) == 7
    html = page(*blocks).render()
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert parser.seen.count("svg") == 4
    once = ("h1", "h2", "h3", "table", "footer")
    assert [parser.seen.count(tag) for tag in once] == [1] * len(once)
    for text in ("Brow", "Foot", "Count", "A paragraph", "Look out", "best"):
        assert text in html
    for mark in ("width:50%", 'href="#one"', 'id="one"'):
        assert mark in html
    assert '<th scope="col" class="number">Share</th>' in html
    assert '<th scope="row">' in html


def test_text_is_escaped_everywhere() -> None:
    bad = "<script>alert('x')</script>"
    html = Page(
        bad,
        bad,
        [
            PageSection(
                bad,
                [
                    Text(bad),
                    Notice(bad),
                    Facts([(bad, bad)]),
                    Table(bad, [Column(bad)], [[bad], [Link("a", bad)], [Bar(1, bad)]]),
                    Card(bad, "a", bad, Facts([(bad, bad)]), [Figure(SVG, bad)]),
                ],
            )
        ],
        [Tile(bad, bad, bad)],
        bad,
        bad,
    ).render()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 23


def test_the_page_is_alone_and_the_same_twice() -> None:
    html = page(*every_block()).render()
    assert html == page(*every_block()).render()
    for word in ("http://", "https://", "<link", "<script", "@import", "url("):
        assert word not in html
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert '<html lang="en">' in html


def test_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells, wanted 2"):
        Table("Rows", [Column("A"), Column("B")], [["only"]])


def test_unused_parts_leave_no_trace() -> None:
    html = Page("T", "S", []).render()
    assert "<ul" not in html
    assert "<footer>" not in html
    assert 'class="eyebrow"' not in html
