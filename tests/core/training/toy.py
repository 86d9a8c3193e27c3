"""A network that learns in milliseconds, and a command that trains it: for tests that kill, resume or multiply it.

python -m tests.core.training.toy FOLDER [field=value …] [wait=seconds a sample]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from core.data.stream import BatchSource, steps_of_worker
from core.runs.folder import process_rank
from core.runs.log import RunLog
from core.runs.stop import Stopped
from core.training.config import TrainerConfig
from core.training.fit import Fitted, fit
from core.training.optimizer import optimizer_and_schedule

SEED = 3


class Interrupted(Exception):
    """Stands for whatever ends a run in the middle."""


class Toy(pl.LightningModule):
    """A small perceptron; with dropout and batch norm unless it is plain."""

    def __init__(self, trainer: TrainerConfig, *, plain: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        extra: list[nn.Module] = [] if plain else [nn.BatchNorm1d(8), nn.Dropout(0.3)]
        self.net = nn.Sequential(nn.Linear(4, 8), *extra, nn.Tanh(), nn.Linear(8, 1))
        self.config = trainer

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        return ((self.net(x) - y) ** 2).mean()

    def configure_optimizers(self) -> Any:
        return optimizer_and_schedule(self.parameters(), self.config)


def make(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=4).astype(np.float32)
    return x, x.sum(keepdims=True)


class Batches(IterableDataset[Any]):
    """Whole batches of a plain definition: step k of a rank has a generator of its own."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.position = stop, (0, 0, 0, 0, 1)

    def stream(self, seed: int, batch_size: int, first_step: int, rank: int, world: int) -> Batches:
        stream = Batches(self.stop)
        stream.position = (seed, batch_size, first_step, rank, world)
        return stream

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        seed, batch_size, first_step, rank, world = self.position
        for step in steps_of_worker(first_step):
            if step == self.stop:
                raise Interrupted
            rng = np.random.default_rng([seed, step * world + rank])
            x = torch.from_numpy(rng.normal(size=(batch_size, 4)).astype(np.float32))
            yield x, x.sum(dim=1, keepdim=True)


def settings(**fields: Any) -> TrainerConfig:
    few = {
        "max_steps": 9,
        "batch_size": 4,
        "warmup_steps": 3,
        "log_every_steps": 2,
        "checkpoint_every_steps": 2,
    }
    return TrainerConfig(**{**few, "ema_decay": 0.9, "learning_rate": 0.05, **fields})


def train(
    folder: Path,
    data: Callable[[np.random.Generator], Any] | BatchSource = make,
    *,
    plain: bool = False,
    **fields: Any,
) -> tuple[Toy, Fitted]:
    """Train in `folder`, with a log beside the checkpoints."""
    trainer = settings(**fields)
    module = Toy(trainer, plain=plain)
    folder.mkdir(parents=True, exist_ok=True)
    rank = process_rank()
    with RunLog(folder / (f"log.rank{rank}.jsonl" if rank else "log.jsonl")) as log:
        return module, fit(module, data, trainer, folder / "checkpoints", log, SEED)


def main(argv: list[str]) -> None:
    pairs = dict(pair.split("=") for pair in argv[1:])
    wait = float(pairs.pop("wait", 0))
    plain = pairs.pop("plain", "") == "yes"

    def slow(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(wait)
        return make(rng)

    fields = {name: int(value) if value.isdigit() else value for name, value in pairs.items()}
    try:
        module, _ = train(Path(argv[0]), slow, plain=plain, **fields)
    except Stopped as stop:
        print(stop.name, stop.saved, flush=True)
        sys.exit(stop.exit_code)
    rank = process_rank()
    torch.save(module.state_dict(), Path(argv[0]) / f"weights.rank{rank}.pt")


if __name__ == "__main__":
    main(sys.argv[1:])
