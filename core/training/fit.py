"""Train a model: the only place that builds a Trainer."""

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
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, ModelCheckpoint, Timer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy, Strategy
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch.utils.data import DataLoader

from core.data.stream import BatchSource, SampleStream, stream_loader
from core.errors import ConfigError
from core.runs.files import write_bytes
from core.runs.log import RunLog
from core.training.checkpoint import AtomicCheckpoints, RandomState, plain_tensors
from core.training.config import TrainerConfig
from core.training.progress import TrainingProgress
from core.training.quiet import quiet_lightning

WEIGHTS = "weights.safetensors"
MakeSample = Callable[[np.random.Generator], Any]
Data = MakeSample | BatchSource


@dataclass(frozen=True)
class Fitted:
    """How a training ended.

    steps: fewer than wished where the time was up. loss: mean of the last hundred steps of the first process, None
    where it was not finite. seconds: spent in training, over all resumes.
    """

    steps: int
    loss: float | None
    seconds: float


def fit(
    module: pl.LightningModule, data: Data, trainer: TrainerConfig, folder: Path, log: RunLog, seed: int
) -> Fitted:
    """Train `module` up to `trainer.max_steps`; its weights are the averaged ones then.

    data: makes one sample of a generator, or gives a stream of whole batches. folder: checkpoints; one that is
    there already is gone on from, and a training that had ended is only loaded.
    Raises ConfigError where several processes were started to train one device each.
    """
    finished = folder / WEIGHTS
    if not finished.is_file():
        with quiet_lightning():
            _train(module, data, trainer, folder, log, seed)
    module.load_state_dict(load_file(finished))
    with safe_open(finished, framework="pt") as stored:
        told = stored.metadata()
    loss = float(told["loss"]) if told["loss"] else None
    return Fitted(int(told["steps"]), loss, float(told["seconds"]))


def _train(
    module: pl.LightningModule, data: Data, trainer: TrainerConfig, folder: Path, log: RunLog, seed: int
) -> None:
    """Train to the end and write the weights; the file that holds them says that this training has ended."""
    pl.seed_everything(seed, workers=True, verbose=False)
    watch = TrainingProgress(trainer, log)
    runner = build_trainer(trainer, folder, watch)
    last = folder / "last.ckpt"
    stream = StreamData(data, trainer, seed)
    begun = _load(last)["global_step"] if last.is_file() else None
    runner.fit(module, datamodule=stream, ckpt_path=None if begun is None else last, weights_only=False)
    if runner.global_step == begun:
        # cut off behind its last step: Lightning then does nothing more, and leaves the weights not averaged
        module.load_state_dict(_load(last)["state_dict"])
    if runner.global_step < trainer.max_steps:
        log.event("out_of_time", step=runner.global_step, steps=trainer.max_steps)
    if runner.is_global_zero:
        told = {
            "steps": str(runner.global_step),
            "loss": "" if watch.loss is None else repr(watch.loss),
            "seconds": f"{watch.seconds:.3f}",
        }
        write_bytes(folder / WEIGHTS, save(plain_tensors(module), metadata=told))
    runner.strategy.barrier()


def _load(checkpoint: Path) -> dict[str, Any]:
    kept: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)
    return kept


def build_trainer(trainer: TrainerConfig, folder: Path, watch: TrainingProgress) -> pl.Trainer:
    """Turn the config into a Trainer that keeps its newest checkpoint in `folder`."""
    callbacks: list[Callback] = [
        ModelCheckpoint(
            dirpath=folder,
            filename="step-{step}",
            every_n_train_steps=trainer.checkpoint_every_steps,
            save_last=True,
            save_top_k=1,
            auto_insert_metric_name=False,
        ),
        RandomState(),
        watch,
    ]
    if trainer.ema_decay:
        callbacks.append(EMAWeightAveraging(decay=trainer.ema_decay))
    if trainer.max_minutes:
        callbacks.append(Timer(duration=timedelta(minutes=trainer.max_minutes)))
    return pl.Trainer(
        max_steps=trainer.max_steps,
        max_epochs=-1,
        accelerator="auto",
        devices=trainer.devices,
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


def _strategy(trainer: TrainerConfig) -> Strategy | str:
    if trainer.strategy == "ddp":
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        return DDPStrategy(process_group_backend=backend)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "config_choice", "several processes were started to train together: add strategy=ddp"
        )
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
        place = {"first_step": runner.global_step, "rank": runner.global_rank, "world": runner.world_size}
        if isinstance(data, BatchSource):
            stream = data.stream(self.seed, batch_size, **place)
        else:
            stream = SampleStream(data, self.seed, batch_size, **place)
        return stream_loader(stream, self.config.num_workers)
