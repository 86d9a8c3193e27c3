"""Lightning modules of the compact detector's two networks: the loss of a batch, and the optimiser."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from apps.nodule.models.compact import JudgeNet, ProposalNet, normalise
from apps.nodule.models.heatmap import judge_loss, proposal_loss
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule


class Proposing(pl.LightningModule):
    """Training of the proposal network.

    A batch: HU (B, 1, P, P, P), heat map (B, C, C, C), boxes (B, 4, C, C, C) and validity (B, C, C, C), where C is
    P / STRIDE; the loss is that of the centres plus half that of the boxes.
    """

    def __init__(self, net: ProposalNet, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net, trainer

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:  # noqa: ARG002 — Lightning's name
        """Return the loss of a batch, a scalar."""
        hu, heat, box, valid = batch
        losses = proposal_loss(self.net(normalise(hu)), heat, box, valid)
        return losses["centre"] + 0.5 * losses["box"]

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule, in Lightning's form."""
        return optimizer_and_schedule(self.parameters(), self.config)


class Judging(pl.LightningModule):
    """Training of the judge.

    A batch: HU (B, 1, 40, 40, 40), whether a nodule lies in the middle (B,), 0 or 1, and its box (B, 4); the loss is
    that of the verdict plus a tenth of that of the box.
    """

    def __init__(self, net: JudgeNet, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net, trainer

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:  # noqa: ARG002 — Lightning's name
        """Return the loss of a batch, a scalar."""
        hu, is_nodule, box = batch
        losses = judge_loss(self.net(normalise(hu)), is_nodule, box)
        return losses["verdict"] + 0.1 * losses["box"]

    def configure_optimizers(self) -> Any:
        """Return AdamW and its schedule, in Lightning's form."""
        return optimizer_and_schedule(self.parameters(), self.config)
