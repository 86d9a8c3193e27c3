"""Lines fit, nothing printable is lost, and no letter that a font lacks stops the drawing."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

import apps.imagegen.report.lettering as module
from apps.imagegen.report.lettering import font_for, lines_of, printable

FONT = font_for("a", 15)
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_words_are_kept_whole_where_a_line_has_room() -> None:
    text = "slice of pizza with cheese"
    lines = lines_of(text, FONT, 110, 9)
    assert lines == ["slice of pizza", "with cheese"]


def test_a_word_longer_than_a_line_is_cut() -> None:
    lines = lines_of("so incomprehensibilities end", FONT, 80, 9)
    assert "".join(lines).replace(" ", "") == "soincomprehensibilitiesend"
    assert max(FONT.getlength(line) for line in lines) <= 80
    assert lines_of("ab", FONT, 0.5, 9) == ["a", "b"], "a line has at least one letter"


def test_what_has_no_room_ends_in_an_ellipsis() -> None:
    lines = lines_of("one two three four five six seven eight", FONT, 80, 2)
    assert lines[0] == "one two"
    assert lines[1].startswith("three")
    assert lines[1].endswith("…")
    assert len(lines) == 2
    assert FONT.getlength(lines[1]) <= 80


def test_signs_that_steer_are_left_out() -> None:
    assert printable("a\x1b[31mb\u202ec\ud800d\n\te") == "a [31mbc d e"
    assert lines_of("\x00\u200b \n", FONT, 80, 2) == []


@given(st.text(max_size=60), st.integers(30, 200))
def test_every_line_fits_and_every_printable_sign_is_there(text: str, width: int) -> None:
    lines = lines_of(text, FONT, width, 1000)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())
    assert all(len(line) == 1 or FONT.getlength(line) <= width for line in lines)


def test_a_font_of_the_machine_helps_out_where_it_has_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """STIX has U+1D49C, a script A, which DejaVu Sans lacks: it stands for a Chinese font here."""
    other = str(FONTS / "STIXGeneral.ttf")
    monkeypatch.setattr(module, "_others", lambda: (other,))
    assert font_for("\U0001d49c", 12).path == other
    assert font_for("a …", 12).path == str(FONTS / "DejaVuSans.ttf")
    assert font_for("红", 12).path == str(FONTS / "DejaVuSans.ttf"), "nobody has it: boxes"
    assert font_for("a", 12, bold=True).path == str(FONTS / "DejaVuSans-Bold.ttf")


def test_the_fonts_of_the_machine_are_looked_through_in_our_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OTHERS", ("No such font", "STIXGeneral", "DejaVu Serif"))
    module._others.cache_clear()
    try:
        result = [Path(path).name.partition(".")[0].partition("-")[0] for path in module._others()]
    finally:
        module._others.cache_clear()
    assert [name[:9] for name in result] == ["STIXGener", "DejaVuSer"]
