"""Train a network, and leave none whose training diverged."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch

from apps.risk.reasons import INPUTS
from core.data.seeds import seed_of
from core.data.stream import BatchSource
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.config import TrainerConfig
from core.training.fit import Fitted, fit

WORSE = 0.5  # a loss may rise by so much of what it was before the training, and no more
BATCHES = 4  # of the training's material that the loss is taken on, before and after


def fit_soundly(
    module: pl.LightningModule,
    data: BatchSource,
    trainer: TrainerConfig,
    folder: Path | Checkpoints,
    log: RunLog,
    seed: int,
) -> Fitted:
    """Train as core.training.fit does; raise InputError, training_diverged, where that left the network worse.

    That is: a loss that is not finite, or on the first batches of another seed lies far above that before the
    training (WORSE).
    """
    before = _loss(module, data, trainer.batch_size, seed)
    fitted = fit(module, data, trainer, folder, log, seed)
    after = _loss(module, data, trainer.batch_size, seed)
    if fitted.loss is None or not math.isfinite(after) or after - before > WORSE * max(abs(before), 0.1):
        raise INPUTS("training_diverged", before=before, after=after)
    return fitted


def _loss(module: pl.LightningModule, data: BatchSource, batch_size: int, seed: int) -> float:
    """Return the mean loss on batches that depend on the seed alone and are not those of the training."""
    training = module.training
    module.eval()
    with torch.no_grad():
        batches = islice(data.stream(seed_of(seed, 1_000_003), batch_size, 0, 0, 1), BATCHES)
        losses = [torch.as_tensor(module.training_step(batch, 0)).item() for batch in batches]
    module.train(training)
    return float(np.mean(losses))
