from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.jobs.killing import Killed, expect_line, start_process, until
from core.errors import InputError


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    started: list[int] = []

    def start() -> subprocess.Popen[str]:
        words = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
        process = start_process(words, tmp_path)
        assert expect_line(process, "rea") == "ready\n"
        started.append(process.pid)
        return process

    killed = Killed(start, 2)
    try:
        killed.kill(random.Random(1))
    finally:
        killed.close()
    assert (killed.kills, len(set(started))) == (1, 3)


def test_what_does_not_come_true_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it did not come true within 0 s"):
        until(lambda: False, 0.0)
    assert until(lambda: 7) == 7
    process = start_process([sys.executable, "-c", "print('other')"], tmp_path)
    with pytest.raises(InputError, match=r"a process said 'other\\n', wanted 'ready'"):
        expect_line(process, "ready")
    process.communicate()
