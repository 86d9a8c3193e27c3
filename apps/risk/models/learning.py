"""How riskformer learns to forecast: Lightning's side of it.

Legend: B rows, C steps of the past, H steps ahead, K futures.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from apps.risk.data.mixture import Lesson
from apps.risk.models.losses import quantile_loss
from apps.risk.models.scaling import scaled
from apps.risk.models.transformer import RiskFormer, target_rows
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule


class Forecasting(pl.LightningModule):
    """Training of the quantiles on series whose futures are known."""

    def __init__(self, net: RiskFormer, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net, trainer
        self.level_Q: Tensor
        self.register_buffer("level_Q", torch.tensor(net.levels), persistent=False)

    def training_step(self, batch: Lesson, batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        forecast = self.net(
            target_rows(batch.past_BC, batch.known_BC, batch.label_BKH.shape[-1], batch.group_B)
        )
        B, K, H = batch.label_BKH.shape
        z_BKH = scaled(batch.label_BKH.reshape(B, K * H), forecast.scale).view(B, K, H)
        return quantile_loss(forecast.z_BHQ.float(), z_BKH, batch.counts_BKH, self.level_Q)

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)
