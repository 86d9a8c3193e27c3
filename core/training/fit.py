"""Train a model: the only module that builds a Trainer."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, Timer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from safetensors.torch import save
from torch.utils.data import DataLoader

from core.data.seeds import seed_of
from core.data.stream import BatchSource, SampleStream, stream_loader
from core.runs.files import write_bytes
from core.runs.log import RunLog
from core.runs.stop import Stopped, StopRequest
from core.runs.training import Checkpoints
from core.training.checkpoint import AtomicCheckpoints, RandomState, plain_tensors
from core.training.config import TrainerConfig
from core.training.progress import TrainingProgress
from core.training.quiet import quiet_lightning
from core.training.reasons import FAULTS, TRAINING
from core.training.resume import WEIGHTS, Start, begin, ended, folder_of, newest_checkpoint
from core.training.saving import LAST, Saving

MakeSample = Callable[[np.random.Generator], Any]
Data = MakeSample | BatchSource


@dataclass(frozen=True)
class Fitted:
    """How a training ended.

    steps: fewer than requested where the time was up. loss: mean of the last hundred steps of the first process, None
    where it was not finite. seconds: spent in training, over all resumes.
    """

    steps: int
    loss: float | None
    seconds: float


def fit(
    module: pl.LightningModule,
    data: Data,
    trainer: TrainerConfig,
    folder: Path | Checkpoints,
    log: RunLog,
    seed: int,
) -> Fitted:
    """Train `module` up to `trainer.max_steps`; its weights are the averaged ones then.

    data: makes one sample of a generator, or gives a stream of whole batches. folder: checkpoints; a training that
    was cut off is resumed from the newest whole one, one that had ended is trained on where more steps are wanted,
    and else only loaded. Raises Stopped after a signal, when the step under way is saved; ConfigError where several
    processes were started to train one device each; InputError where checkpoints are there and none is usable.
    """
    checkpoints = folder if isinstance(folder, Checkpoints) else Checkpoints(folder)
    path = folder_of(checkpoints)
    end = ended(checkpoints, path, module)
    if end is None or not end.is_all_of(trainer.max_steps, trainer.max_minutes):
        start = newest_checkpoint(checkpoints, path, module)
        checkpoints.on_train()
        with quiet_lightning(), StopRequest() as stop:
            _train(module, data, trainer, path, log, seed, checkpoints, start, stop)
        end = ended(checkpoints, path, module)
        if end is None:
            raise FAULTS("trained_weights_missing")
        if stop.number:
            raise Stopped(stop.number, f"saved at its last step, {end.steps}")
    module.load_state_dict(end.state)
    return Fitted(end.steps, end.loss, end.seconds)


def _train(
    module: pl.LightningModule,
    data: Data,
    trainer: TrainerConfig,
    folder: Path,
    log: RunLog,
    seed: int,
    checkpoints: Checkpoints,
    start: Start | None,
    stop: StopRequest,
) -> None:
    """Train to the end and write the weights; the file that holds them says that this training has ended."""
    pl.seed_everything(seed_of(seed, 0), workers=True, verbose=False)
    watch = TrainingProgress(trainer, log)
    saved = start.step if start is not None and start.path.name == LAST else None
    saving = Saving(folder, trainer.checkpoint_every_steps, checkpoints.identity, stop, saved)
    runner = build_trainer(trainer, folder, watch, saving)
    if runner.is_global_zero:
        begin(checkpoints, folder)
    runner.fit(
        module,
        datamodule=StreamData(data, trainer, seed),
        ckpt_path=None if start is None else start.path,
        weights_only=True,
    )
    if start is not None and runner.global_step == start.step:
        # cut off behind its last step: Lightning then does nothing more, and leaves the weights not averaged
        module.load_state_dict(start.state)
    if runner.global_step < trainer.max_steps:
        log.event("out_of_time", step=runner.global_step, steps=trainer.max_steps)
    if runner.is_global_zero:
        metadata = {
            "steps": str(runner.global_step),
            "minutes": "" if runner.global_step >= trainer.max_steps else repr(trainer.max_minutes),
            "loss": "" if watch.loss is None else repr(watch.loss),
            "seconds": f"{watch.seconds:.3f}",
            "mark": checkpoints.identity,
        }
        write_bytes(folder / WEIGHTS, save(plain_tensors(module), metadata=metadata))
    runner.strategy.barrier()


def build_trainer(
    trainer: TrainerConfig, folder: Path, watch: TrainingProgress, saving: Saving
) -> pl.Trainer:
    """Turn the config into a Trainer that keeps its newest checkpoints in `folder`."""
    callbacks: list[Callback] = [saving, RandomState(), watch]
    if trainer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=trainer.ema_decay))
    if trainer.max_minutes:
        callbacks.append(Timer(duration=timedelta(minutes=trainer.max_minutes)))
    return pl.Trainer(
        max_steps=trainer.max_steps,
        max_epochs=-1,
        accelerator="auto",
        devices=trainer.devices,
        num_nodes=machines(),
        strategy=_strategy(trainer),
        precision="bf16-mixed" if trainer.precision == "bf16" else "32-true",
        gradient_clip_val=trainer.gradient_clip or None,
        callbacks=callbacks,
        plugins=[AtomicCheckpoints()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def machines() -> int:
    """Return on how many machines torchrun has started the training."""
    everywhere, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return everywhere // here if "LOCAL_WORLD_SIZE" in os.environ else 1


def _strategy(trainer: TrainerConfig) -> Strategy | str:
    if trainer.strategy == "ddp":
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        return DDPStrategy(process_group_backend=backend)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TRAINING("processes_single")
    return "auto" if torch.cuda.is_available() else SingleDeviceStrategy("cpu")


class StreamData(pl.LightningDataModule):
    """Gives the Trainer its stream, from the step at which it stands."""

    def __init__(self, data: Data, trainer: TrainerConfig, seed: int) -> None:
        super().__init__()
        self.data, self.config, self.seed = data, trainer, seed

    def train_dataloader(self) -> DataLoader[Any]:
        runner = self.trainer
        assert runner is not None
        data, batch_size = self.data, self.config.batch_size
        position = {"first_step": runner.global_step, "rank": runner.global_rank, "world": runner.world_size}
        if isinstance(data, BatchSource):
            stream = data.stream(self.seed, batch_size, **position)
        else:
            stream = SampleStream(data, self.seed, batch_size, **position)
        return stream_loader(stream, self.config.num_workers)
