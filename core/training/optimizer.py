"""AdamW with a warm-up and a cosine fall: the one schedule that all apps train with."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from core.training.config import TrainerConfig


def optimizer_and_schedule(parameters: Iterable[Parameter], trainer: TrainerConfig) -> dict[str, Any]:
    """Return what `LightningModule.configure_optimizers` returns; norms and biases do not decay.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101.
    """
    trained = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": trainer.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=trainer.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, trainer))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_at(step: int, trainer: TrainerConfig) -> float:
    """Return the share of the highest learning rate at a step: 0 to 1 in the warm-up, then a cosine to 1 %."""
    if step < trainer.warmup_steps:
        return (step + 1) / trainer.warmup_steps
    left = max(trainer.max_steps - trainer.warmup_steps, 1)
    done = min((step - trainer.warmup_steps) / left, 1.0)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
