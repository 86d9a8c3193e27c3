"""Lines beside the results of a command."""

from __future__ import annotations

import io
import sys

import pytest

from core.notice import notice
from core.silence import silenced


def test_a_notice_is_one_line_on_stderr_also_while_a_stage_runs(capfd: pytest.CaptureFixture[str]) -> None:
    notice("two rows were left out")
    with silenced():
        print("of a library", file=sys.stderr)
        notice("three rows were left out")
    assert capfd.readouterr() == ("", "note: two rows were left out\nnote: three rows were left out\n")


def test_a_closed_terminal_stops_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        monkeypatch.setattr(sys, "__stderr__", stream)
        notice("nobody reads this")
    assert closed.closed
