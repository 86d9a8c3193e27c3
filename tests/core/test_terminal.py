"""A note is one line on stderr, also while what others print is withheld."""

from __future__ import annotations

import sys

import pytest

from core.silence import silenced
from core.terminal import print_note


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
