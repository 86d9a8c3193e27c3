"""How a training goes: a line of the run's log every so many steps, and a bar where a person watches."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.progress import Progress, TaskID

from core.runs.log import RunLog
from core.terminal.progress import progress_bar
from core.training.config import TrainerConfig

LATEST = 100  # steps whose mean loss is the final loss of a training


class TrainingProgress(Callback):
    """Logs step, mean loss since the last line, learning rate, and seconds a step; checkpoints keep its sums.

    seconds: time spent in training so far, that before a resume included.
    """

    def __init__(self, trainer: TrainerConfig, log: RunLog) -> None:
        self.config, self.run_log = trainer, log
        self._losses: list[torch.Tensor] = []
        self._latest: deque[torch.Tensor] = deque(maxlen=LATEST)
        self._before = 0.0
        self._started = self._since = time.monotonic()
        self._since_step = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    @property
    def seconds(self) -> float:
        """Seconds of training, those before the run was resumed included."""
        return self._before + time.monotonic() - self._started

    @property
    def loss(self) -> float | None:
        """Mean loss of this process's last hundred steps; None where there is no finite one."""
        value = _mean(self._latest) if self._latest else math.nan
        return value if math.isfinite(value) else None

    def state_dict(self) -> dict[str, Any]:
        losses, latest = ([float(loss) for loss in some] for some in (self._losses, self._latest))
        return {"losses": losses, "latest": latest, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._losses = [torch.tensor(loss) for loss in state_dict["losses"]]
        self._latest.extend(torch.tensor(loss) for loss in state_dict["latest"])
        self._before = state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = self._since = time.monotonic()
        self._since_step = trainer.global_step
        self._bar = progress_bar() if trainer.is_global_zero else None
        if self._bar is not None:
            self._task = self._bar.add_task(
                "training", total=self.config.max_steps, completed=trainer.global_step
            )
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
            loss = outputs["loss"].detach().float()
            self._losses.append(loss)
            self._latest.append(loss)
        step = trainer.global_step
        if step % self.config.log_every_steps == 0 and self._losses:
            self._log(trainer, step)
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._losses:
            self._log(trainer, trainer.global_step)
        self._before, self._started = self.seconds, time.monotonic()
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
            loss=_mean(self._losses),
            learning_rate=float(trainer.optimizers[0].param_groups[0]["lr"]),
            seconds=round((now - self._since) / max(step - self._since_step, 1), 4),
        )
        self._losses, self._since, self._since_step = [], now, step

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _mean(losses: list[torch.Tensor] | deque[torch.Tensor]) -> float:
    # those before a resume come back on the CPU: a step's loss may still lie on the device
    return float(torch.stack([loss.cpu() for loss in losses]).mean())
