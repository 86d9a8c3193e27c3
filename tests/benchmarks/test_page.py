"""The page of all records."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from benchmarks.page import card_environment, device_words, render_page

DEVICE = {
    "cpu": "A CPU",
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "isa": ["avx2", "avx512f", "sse4_1"],
    "gpus": [],
}


def record(theme: str, time: str, value: str) -> dict[str, object]:
    return {
        "theme": theme,
        "time": time,
        "headline": {"CPM": value},
        "git": {"commit": "0123456789", "changed": True},
        "device": DEVICE,
        "seconds": 12.5,
        "peak_memory_mb": 300,
        "command": "python -m benchmarks.x",
        "file": f"{theme}.json",
    }


def test_each_theme_shows_its_newest_record_first() -> None:
    page = render_page(
        [
            record("b", "2026-01-01T", "0.1"),
            record("a", "2026-01-02T", "0.2"),
            record("b", "2026-01-03T", "0.3"),
        ]
    )
    positions = [page.index(text) for text in ("## a", "**0.2**", "## b", "**0.3**", "**0.1**")]
    assert positions == sorted(positions)
    assert "commit `0123456` (changed), 12.5 s, at most 300 MB" in page
    assert "`python -m benchmarks.x` → [b.json](b.json)" in page


def test_a_device_in_words() -> None:
    assert device_words(DEVICE) == "A CPU, 2 cores, 8 GiB, avx512f avx2"
    bare = {**DEVICE, "isa": [], "memory_bytes": None, "gpus": ["A GPU"]}
    assert device_words(bare) == "A CPU, 2 cores, no vector set known, A GPU"


def test_without_a_checkout_there_is_no_commit() -> None:
    assert "no commit" in render_page([{**record("a", "2026-01-01T", "1"), "git": None}])


def test_a_card_with_a_figure_that_no_record_gives_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "card.md.j2").write_text("{{ one }} <b>{{ other }}</b>\n", encoding="utf-8")
    template = card_environment(tmp_path).get_template("card.md.j2")
    assert template.render(one="a & b", other=2) == "a & b <b>2</b>\n"
    with pytest.raises(UndefinedError, match="'other' is undefined"):
        template.render(one=1)
