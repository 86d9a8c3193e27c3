"""Resume by equality, one process against two, arithmetic and the ends of a training; all on a toy network."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import ConfigError, InputError
from core.training.config import TrainerConfig
from core.training.fit import machines
from core.training.resume import WEIGHTS
from tests.core.training.toy import SEED, Batches, Interrupted, Toy, make, settings, train

ROOT = Path(__file__).resolve().parents[3]


def breaking(samples: int) -> Any:
    """A source of samples that fails after so many."""
    left = iter(range(samples))

    def sample(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if next(left, None) is None:
            raise Interrupted
        return make(rng)

    return sample


def weights(folder: Path) -> dict[str, torch.Tensor]:
    result = load_file(folder / "checkpoints" / WEIGHTS)
    assert len(result) >= 4
    return result


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a)


def losses(folder: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if line["event"] == "train"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Sums depend on the number of threads in their last bits; the processes started here have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(folder)
    return folder


@pytest.mark.parametrize("broken_in_step", [3, 5, 8])
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(
    unbroken: Path, tmp_path: Path, broken_in_step: int
) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path, breaking(4 * broken_in_step + 1))
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
    assert kept["global_step"] == (broken_in_step - 1) // 2 * 2  # the loader is one batch ahead
    assert not (tmp_path / "checkpoints" / WEIGHTS).exists()
    train(tmp_path)
    assert same(weights(tmp_path), weights(unbroken))
    assert losses(tmp_path) == losses(unbroken)
    ends = [torch.load(f / "checkpoints" / "last.ckpt", weights_only=False) for f in (tmp_path, unbroken)]
    assert [end["global_step"] for end in ends] == [9, 9]
    assert ends[0]["lr_schedulers"] == ends[1]["lr_schedulers"]
    first, second = (end["optimizer_states"][0] for end in ends)
    assert first["param_groups"] == second["param_groups"]
    assert len(first["state"]) == len(second["state"]) == 6
    for i, state in first["state"].items():
        assert all(torch.equal(state[name], second["state"][i][name]) for name in ("exp_avg", "exp_avg_sq"))


def test_resumed_again_and_again_after_odd_steps(unbroken: Path, tmp_path: Path) -> None:
    stops = []
    for _ in range(3):
        with pytest.raises(Interrupted):
            train(tmp_path, breaking(4 * 3), checkpoint_every_steps=1)
        kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
        stops.append(kept["global_step"])
    assert len(set(stops)) == 3
    assert stops[-1] < 9
    train(tmp_path, checkpoint_every_steps=1)
    assert same(weights(tmp_path), weights(unbroken))


def test_a_training_cut_off_behind_its_last_step_keeps_its_average(tmp_path: Path) -> None:
    """The last checkpoint was written, the weights not yet."""
    train(tmp_path, max_steps=8)
    wanted, logged = weights(tmp_path), losses(tmp_path)
    (tmp_path / "checkpoints" / WEIGHTS).unlink()
    _, fitted = train(tmp_path, max_steps=8)
    assert same(weights(tmp_path), wanted)
    assert fitted.steps == 8
    assert fitted.loss is not None
    assert losses(tmp_path) == logged


def test_a_training_moved_to_another_folder_goes_on(unbroken: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(tmp_path / "here", breaking(4 * 6))
    shutil.move(tmp_path / "here", tmp_path / "there")
    train(tmp_path / "there")
    assert same(weights(tmp_path / "there"), weights(unbroken))


def test_two_workers_give_the_weights_of_none(unbroken: Path, tmp_path: Path) -> None:
    train(tmp_path, num_workers=2)
    assert same(weights(tmp_path), weights(unbroken))


@pytest.mark.parametrize("broken_in_step", [3, 6])
def test_whole_batches_train_and_resume_as_samples_do(tmp_path: Path, broken_in_step: int) -> None:
    train(tmp_path / "unbroken", Batches())
    with pytest.raises(Interrupted):
        train(tmp_path / "broken", Batches(stop=broken_in_step))
    kept = torch.load(tmp_path / "broken" / "checkpoints" / "last.ckpt", weights_only=False)
    assert kept["global_step"] == (broken_in_step - 1) // 2 * 2
    _, fitted = train(tmp_path / "broken", Batches())
    assert fitted.steps == 9
    assert same(weights(tmp_path / "broken"), weights(tmp_path / "unbroken"))
    assert losses(tmp_path / "broken") == losses(tmp_path / "unbroken")


def test_two_workers_give_the_whole_batches_of_none(tmp_path: Path) -> None:
    train(tmp_path / "none", Batches())
    train(tmp_path / "two", Batches(), num_workers=2)
    assert same(weights(tmp_path / "two"), weights(tmp_path / "none"))


def test_each_step_sees_the_batch_of_its_number(tmp_path: Path) -> None:
    """The plain twin: the losses of the first steps, without a trainer, by the definition of the batches."""
    _, fitted = train(tmp_path, Batches(), plain=True, max_steps=2, log_every_steps=1, ema_decay=0)
    module, wanted = Toy(settings(max_steps=2), plain=True), []
    made = module.configure_optimizers()
    for step, batch in zip(range(2), Batches().stream(SEED, 4, 0, 0, 1), strict=False):
        loss = module.training_step(batch, step)
        made["optimizer"].zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
        wanted.append(float(loss.detach()))
    assert fitted.steps == 2
    assert list(losses(tmp_path).values()) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.e2e
def test_a_killed_process_is_resumed_by_another(unbroken: Path, tmp_path: Path) -> None:
    """Kill a process (-9) in mid-training: what lies on the disk then must suffice for this one."""
    command = [sys.executable, "-m", "tests.core.training.toy", str(tmp_path), "wait=0.04"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    last = tmp_path / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it had ended before it was killed"
    assert not (tmp_path / "checkpoints" / WEIGHTS).exists()
    train(tmp_path)
    assert same(weights(tmp_path), weights(unbroken))


@pytest.mark.e2e
def test_two_processes_learn_what_one_learns_with_the_double_batch(tmp_path: Path) -> None:
    alone, _ = train(tmp_path / "alone", plain=True, batch_size=4, max_steps=5)
    both = tmp_path / "both"
    both.mkdir()
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        # the first connection of gloo may fail; torchrun then starts again
        *("--max-restarts=3", "-m", "tests.core.training.toy", str(both)),
        *("plain=yes", "strategy=ddp", "devices=2", "batch_size=2", "max_steps=5"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    ranks = [torch.load(both / f"weights.rank{rank}.pt") for rank in (0, 1)]
    assert same(*ranks)
    wanted = alone.state_dict()
    assert len(wanted) == 4
    for name, value in wanted.items():
        assert torch.allclose(ranks[0][name], value, rtol=0, atol=1e-5), name
    # one of them writes: one log of each, one set of checkpoints
    assert sorted(p.name for p in (both / "checkpoints").iterdir()) == ["last.ckpt", "step-4.ckpt", WEIGHTS]
    assert set(losses(both)) == {2, 4, 5}


def test_several_processes_need_a_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ConfigError, match="several processes were started to train together: add strategy=ddp"
    ):
        train(tmp_path)


def test_torchrun_says_on_how_many_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machines() == 1
    monkeypatch.setenv("WORLD_SIZE", "8")  # Lightning's own processes are of this machine
    assert machines() == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert machines() == 2


def test_bf16_trains_and_differs_slightly(tmp_path: Path) -> None:
    exact, _ = train(tmp_path / "exact", plain=True, max_steps=3, log_every_steps=1)
    rough, _ = train(tmp_path / "rough", plain=True, max_steps=3, log_every_steps=1, precision="bf16")
    assert {value.dtype for value in rough.state_dict().values()} == {torch.float32}
    assert not same(dict(exact.state_dict()), dict(rough.state_dict()))
    first, second = losses(tmp_path / "exact"), losses(tmp_path / "rough")
    assert len(first) == 3
    assert first != second
    assert list(second.values()) == pytest.approx(list(first.values()), rel=0.02)


def test_the_largest_seed_of_an_app_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.core.training.toy.SEED", 2**63 - 1)
    train(tmp_path, plain=True, max_steps=1, log_every_steps=1)
    assert list(losses(tmp_path)) == [1]


def test_a_finished_training_is_only_loaded(unbroken: Path) -> None:
    before = weights(unbroken)
    module, fitted = train(unbroken, breaking(0))
    assert same(dict(module.state_dict()), before)
    assert fitted.steps == 9
    assert fitted.loss is not None
    assert 0 < fitted.loss < 20
    assert fitted.seconds > 0


def test_the_weights_are_the_moving_average(tmp_path: Path) -> None:
    """The plain twin: train without an average and keep one beside it."""
    averaged, _ = train(tmp_path / "averaged", plain=True, warmup_steps=10, max_steps=4, ema_decay=0.9)
    means: dict[str, torch.Tensor] = {}
    for steps in range(1, 5):
        module, _ = train(tmp_path / f"{steps}", plain=True, warmup_steps=10, max_steps=steps, ema_decay=0)
        state = module.state_dict()
        means = {n: 0.9 * means[n] + 0.1 * v if means else v.clone() for n, v in state.items()}
    assert len(means) == 4
    for name, value in averaged.state_dict().items():
        assert torch.allclose(value, means[name], rtol=0, atol=1e-6), name


def test_without_an_average_the_last_weights_count(tmp_path: Path) -> None:
    module, _ = train(tmp_path, max_steps=4, ema_decay=0)
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
    assert kept["global_step"] == 4
    assert same(dict(module.state_dict()), kept["state_dict"])


def test_the_gradient_is_clipped_unless_by_0(tmp_path: Path) -> None:
    def scaled(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x, y = make(rng)
        return x, 1000 * y

    def step_of(clip: float) -> float:
        train(tmp_path / str(clip), scaled, plain=True, gradient_clip=clip, max_steps=2)
        kept = torch.load(tmp_path / str(clip) / "checkpoints" / "last.ckpt", weights_only=False)
        states = kept["optimizer_states"][0]["state"].values()
        return float(sum((state["exp_avg"] ** 2).sum() for state in states) ** 0.5)

    # after two steps AdamW's first moment is 0.1 of the last gradient and 0.09 of the first
    assert step_of(0.5) <= 0.19 * 0.5 * 1.001
    assert step_of(0) > 10


def test_time_that_is_up_ends_a_training_and_is_reported(tmp_path: Path) -> None:
    _, fitted = train(tmp_path, max_steps=100_000, max_minutes=0.005)
    assert 0 < fitted.steps < 100_000
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["event"] == "out_of_time"
    assert (lines[-1]["step"], lines[-1]["steps"]) == (fitted.steps, 100_000)
    assert lines[-2]["step"] == fitted.steps  # the last line of losses is not lost
    (tmp_path / "checkpoints" / WEIGHTS).unlink()
    _, again = train(tmp_path, max_steps=100_000, max_minutes=1e-6)  # none is left when it is resumed
    kept = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)
    assert again.steps == kept["global_step"] <= fitted.steps
    assert same(weights(tmp_path), kept["state_dict"])


def test_a_loss_that_is_no_number_is_reported_as_none(tmp_path: Path) -> None:
    def endless(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        x, y = make(rng)
        return x, y * np.inf

    _, fitted = train(tmp_path, endless, max_steps=2)
    assert fitted.loss is None
    assert losses(tmp_path) == {2: None}


def test_a_full_disk_ends_in_one_sentence(small_disk: Path) -> None:
    (small_disk / "filling").write_bytes(bytes(250 * 1024))
    with pytest.raises(InputError, match=r"the disk of .*small-disk.* is full"):
        train(small_disk)
    assert list((small_disk / "checkpoints").iterdir()) == []


def test_it_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, max_steps=2)
    assert capfd.readouterr() == ("", "")


def test_the_toy_has_the_settings_that_these_tests_count_on() -> None:
    assert settings() == TrainerConfig(
        max_steps=9,
        batch_size=4,
        warmup_steps=3,
        log_every_steps=2,
        checkpoint_every_steps=2,
        ema_decay=0.9,
        learning_rate=0.05,
    )
