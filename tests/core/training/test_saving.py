"""What a training leaves when it is asked to stop; on the toy network, in this process and in others."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.runs.stop import Stopped, StopRequest
from core.training.resume import WEIGHTS
from core.training.saving import LAST, MARK, Saving
from tests.core.training.toy import make, train

ROOT = Path(__file__).resolve().parents[3]
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """One thread, as in the processes started here; and Ctrl-C, which a job in the background ignores, is heard."""
    threads, handler = torch.get_num_threads(), signal.signal(signal.SIGINT, signal.default_int_handler)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return load_file(folder / "checkpoints" / WEIGHTS)


def signalling(number: int, sample: int) -> Callable[[np.random.Generator], Any]:
    """Return a source that sends this process a signal when it makes a sample of that number."""
    numbers = iter(range(10**9))

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if next(numbers) == sample:
            os.kill(os.getpid(), number)
        return make(rng)

    return draw


def same_as(folder: Path, wanted: dict[str, torch.Tensor]) -> bool:
    result = load_file(folder / "checkpoints" / WEIGHTS)
    return result.keys() == wanted.keys() and all(torch.equal(result[name], wanted[name]) for name in wanted)


def step_of(folder: Path) -> int:
    return int(torch.load(folder / "checkpoints" / LAST, weights_only=True)["global_step"])


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_saves_the_step_under_way(
    tmp_path: Path, unbroken: dict[str, torch.Tensor], number: int, code: int
) -> None:
    before = [signal.getsignal(one) for one, _ in SIGNALS]
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, signalling(number, 4 * 2 + 1), checkpoint_every_steps=500)
    assert stopped.value.exit_code == code
    step = step_of(tmp_path)
    assert 1 <= step <= 3
    assert stopped.value.saved == f"saved at step {step} of 9"
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [LAST]
    assert [signal.getsignal(one) for one, _ in SIGNALS] == before
    train(tmp_path)
    assert same_as(tmp_path, unbroken)


def test_a_signal_in_the_last_step_loses_nothing(tmp_path: Path, unbroken: dict[str, torch.Tensor]) -> None:
    with pytest.raises(Stopped, match="saved at step 9 of 9"):
        train(tmp_path, signalling(signal.SIGTERM, 4 * 9 + 1))  # the loader is a batch ahead
    assert step_of(tmp_path) == 9
    train(tmp_path)
    assert same_as(tmp_path, unbroken)


def test_two_checkpoints_are_kept_and_the_last_step_is_one(tmp_path: Path) -> None:
    train(tmp_path, max_steps=5)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [LAST, "step-4.ckpt", WEIGHTS]
    kept = [torch.load(tmp_path / "checkpoints" / name, weights_only=True) for name in names[:2]]
    assert [one["global_step"] for one in kept] == [5, 4]
    assert len({one[MARK] for one in kept}) == 1


def test_a_file_system_without_hard_links_keeps_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refused)
    train(tmp_path, max_steps=5)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [LAST, "step-4.ckpt", WEIGHTS]


def test_nothing_is_asked_of_others_by_a_single_process(tmp_path: Path) -> None:
    with StopRequest() as stop:
        saving = Saving(tmp_path, 1, "mark", stop, None)
        assert saving._asked_to_stop() == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert saving._asked_to_stop() == signal.SIGTERM


def start(folder: Path, *words: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "tests.core.training.toy", str(folder), "wait=0.05", *words]
    return subprocess.Popen(
        command,
        env=ENVIRONMENT,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 150
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it was stopped"


@pytest.mark.e2e
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_whole_group_of_processes_is_stopped(
    tmp_path: Path, unbroken: dict[str, torch.Tensor], number: int, code: int
) -> None:
    """As a terminal does it, or a service manager: the workers that prepare data get the signal, too."""
    process = start(tmp_path, "num_workers=2")
    wait_for(tmp_path / "checkpoints" / LAST, process)
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == code
    assert said.split()[:4] == [{143: "SIGTERM", 130: "Ctrl-C"}[code], "saved", "at", "step"]
    train(tmp_path)
    assert same_as(tmp_path, unbroken)


@pytest.mark.e2e
def test_two_processes_stop_in_the_same_step(tmp_path: Path) -> None:
    """One of them gets the signal; both save, and resume as if there had been none."""
    words = ("plain=yes", "strategy=ddp", "devices=2", "batch_size=2", "max_steps=40")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=0")
    process = start(tmp_path, *words, launcher=launcher)
    wait_for(tmp_path / "checkpoints" / LAST, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGTERM)
    said, _ = process.communicate(timeout=100)
    assert process.returncode != 0
    assert set(re.findall(r"saved at step (\d+) of 40", said)) == {str(step_of(tmp_path))}
