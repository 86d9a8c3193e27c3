"""A note is one line on stderr, also while what others print is withheld."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from core.terminal.notes import print_note, print_set_aside
from core.terminal.silence import silenced


def test_a_note_is_one_line_on_stderr_and_others_words_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with silenced():
        print_note("three rows\n  of four")
        print("withheld", file=sys.stderr)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "note: three rows of four\n")


def test_a_closed_terminal_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "__stderr__", stream)
        print_note("nobody reads this")
    assert closed.closed


def test_what_was_set_aside_is_counted_with_its_commonest_reason(capfd: pytest.CaptureFixture[str]) -> None:
    reasons = [("late", "It came late."), ("bad", "CT is torn."), ("bad", "CT is cut.")]
    print_set_aside("series", 9, reasons, Path("out/list.csv"))
    print_set_aside("series", 9, reasons[:1], Path("list.csv"), "were skipped")
    print_set_aside("series", 9, [], Path("list.csv"))
    assert capfd.readouterr().err.splitlines() == [
        "note: 3 of 9 series were set aside, 2 of them because CT is torn (bad); all are listed in out/list.csv",
        "note: 1 of 9 series were skipped, all because it came late (late); all are listed in list.csv",
    ]
