"""How a training goes: a line of the run's log every so many steps, and a bar where a person watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from core.runs.log import RunLog
from core.training.config import TrainerConfig


class TrainingProgress(Callback):
    """Logs step, mean loss since the last line, learning rate, and seconds a step."""

    def __init__(self, trainer: TrainerConfig, log: RunLog) -> None:
        self.config, self.run_log = trainer, log
        self._losses: list[torch.Tensor] = []
        self._since = 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = time.monotonic()
        if trainer.is_global_zero and sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
            self._task = self._bar.add_task("training", total=self.config.max_steps)
            self._bar.start()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: torch.Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if isinstance(outputs, Mapping):
            self._losses.append(outputs["loss"].detach())
        step = trainer.global_step
        if step % self.config.log_every_steps == 0 and self._losses:
            self._log(trainer, step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _log(self, trainer: pl.Trainer, step: int) -> None:
        now = time.monotonic()
        self.run_log.event(
            "train",
            step=step,
            loss=float(torch.stack(self._losses).mean()),
            learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
            seconds=round((now - self._since) / len(self._losses), 4),
        )
        self._losses, self._since = [], now

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
