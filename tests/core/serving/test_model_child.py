from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.serving.messages import Message
from core.serving.model_child import answered, build
from tests.core.serving.service import ROOT, until

# A service that is killed cannot tidy up: it says its child's number and waits.
PARENT = """
import asyncio, sys
from core.serving.model_pool import ModelPool
from core.serving.messages import Message
from tests.core.serving.models import source

async def main():
    pool = ModelPool(source())
    await pool.start()
    calling = asyncio.create_task(pool.call(Message(eval(sys.argv[1]))))
    await asyncio.sleep(0.1)
    print(*pool.pids, "torch" in sys.modules, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_what_it_builds_answers_and_errors_become_answers() -> None:
    model = build("tests.core.serving.models:doubling", {"offset": 1.0})
    answer = answered(model, Message({"note": "a"}, {"x": np.ones(2, "f4")}))
    assert answer.content["answer"] == {"pid": os.getpid(), "note": "a"}
    assert answer.arrays["x"].tolist() == [3, 3]
    refused = answered(model, Message({"refuse": "input"})).content["error"]
    assert (refused["class"], refused["code"], refused["sentence"]) == (
        "InputError",
        "some_code",
        "some sentence",
    )
    fault = answered(model, Message({"fail": "secret"})).content["fault"]
    assert fault["type"] == "ValueError"
    assert fault["where"].startswith("tests/core/serving/models.py:")
    assert "secret" not in repr(fault)


@pytest.mark.slow
@pytest.mark.parametrize("state", ["idle", "working"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_and_the_parent_imports_no_torch(state: str, sent: signal.Signals) -> None:
    content = "{'sleep': 60}" if state == "working" else "{}"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, content],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid, torch = parent.stdout.readline().split()
    assert torch == "False"
    assert Path(f"/proc/{pid}").exists()
    parent.send_signal(sent)
    parent.wait()
    parent.stdout.close()
    assert until(lambda: _is_gone(int(pid))) < 1


def _is_gone(pid: int) -> bool:
    """Whether a process has ended; one whose parent does not ask for its exit code lasts as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
