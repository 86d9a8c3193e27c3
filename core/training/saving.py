"""When a training is saved: every so many steps, at its last one, and when the process is asked to stop."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint

from core.runs.stop import Stopped, StopRequest

LAST = "last.ckpt"
EARLIER = "step-{step}.ckpt"
MARK = "triptych_mark"  # in a checkpoint: the settings that it belongs to


class Saving(Checkpoint):
    """Keeps the two newest checkpoints of a training: last.ckpt, and the one before it under the number of its step.

    every: steps between two. mark: of the settings, written into each. stop: asked after each step; several processes
    stop in the same step. last_step: the step that last.ckpt holds already, None where it holds none.
    """

    def __init__(self, folder: Path, every: int, mark: str, stop: StopRequest, last_step: int | None) -> None:
        self._folder, self._every, self._mark, self._stop = folder, every, mark, stop
        self._last_step = last_step
        self._group: Any = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[MARK] = self._mark

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop.hold()  # Lightning has put its own handlers in place: they end the process, and save nothing
        if trainer.world_size > 1:
            self._group = dist.new_group(backend="gloo")  # of the CPU: a GPU need not wait for it

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, number = trainer.global_step, self._asked_to_stop()
        ends = step >= trainer.max_steps or trainer.should_stop
        if number or ends or step % self._every == 0:
            self._save(trainer, step)
        if number:
            raise Stopped(number, f"saved at step {step} of {trainer.max_steps}")

    def _asked_to_stop(self) -> int:
        """Return the signal that this process or another one of the training has got, 0 where none has."""
        if self._group is None:
            return self._stop.number
        number = torch.tensor(self._stop.number)
        dist.all_reduce(number, op=dist.ReduceOp.MAX, group=self._group)
        return int(number)

    def _save(self, trainer: pl.Trainer, step: int) -> None:
        if step == self._last_step:
            return
        last = self._folder / LAST
        if trainer.is_global_zero and self._last_step is not None:
            _keep_as(last, self._folder / EARLIER.format(step=self._last_step))
        trainer.save_checkpoint(last)
        self._last_step = step


def _keep_as(last: Path, earlier: Path) -> None:
    """Give the checkpoint that is about to be replaced a second name, and remove those before it."""
    others = [path for path in last.parent.glob(EARLIER.format(step="*")) if path != earlier]
    with contextlib.suppress(FileExistsError):
        try:
            os.link(last, earlier)
        except PermissionError:  # a file system without hard links
            os.replace(last, earlier)
    for path in others:
        path.unlink(missing_ok=True)
