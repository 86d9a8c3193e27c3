"""A note is one line on stderr, also while what others print is withheld."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from core.silence import silenced
from core.terminal import print_note, print_set_aside


def test_a_note_is_one_line_on_stderr_and_others_words_are_not(capfd: pytest.CaptureFixture[str]) -> None:
    with silenced():
        print_note("three rows\n  of four")
        print("withheld", file=sys.stderr)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "three rows of four\n")


def test_without_a_terminal_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stderr__", None)
    monkeypatch.setattr(sys, "stderr", None)
    print_note("nobody")


def test_what_was_set_aside_is_counted_with_its_commonest_reason(capfd: pytest.CaptureFixture[str]) -> None:
    reasons = [("late", "It came late."), ("bad", "CT is torn."), ("bad", "CT is cut.")]
    print_set_aside("series", 9, reasons, Path("out/list.csv"))
    print_set_aside("series", 9, reasons[:1], Path("list.csv"), "were skipped")
    print_set_aside("series", 9, [], Path("list.csv"))
    assert capfd.readouterr().err.splitlines() == [
        "3 of 9 series were set aside, 2 of them because CT is torn (bad); all are listed in out/list.csv",
        "1 of 9 series were skipped, all because it came late (late); all are listed in list.csv",
    ]
