"""How pytorch-forecasting's networks learn: windows drawn from a panel, the core's training, the library's own loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from apps.risk.config import ModelConfig
from apps.risk.data.forecasting_batches import ForecastingBatch
from apps.risk.data.panel import Panel
from apps.risk.data.windows import Windows, WindowStream
from apps.risk.models.forecasting_models import ForecastingModel, learning_windows
from apps.risk.models.forecasting_networks import ForecastingNet, description_of, network_batch
from apps.risk.models.sound_training import fit_soundly
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule


@dataclass(frozen=True, eq=False)
class WindowSource:
    """Windows drawn for a network; a BatchSource."""

    windows: Windows
    net: ForecastingNet

    def stream(
        self, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> IterableDataset[ForecastingBatch]:
        """Return the endless stream of one rank's batches."""
        layout, description = self.net.layout(self.windows.panel), self.net.description
        return WindowStream(
            self.windows,
            batch_size,
            seed,
            convert=lambda batch: network_batch(batch, layout, description),
            first_step=first_step,
            rank=rank,
            world=world,
        )


class Learning(pl.LightningModule):
    """Lightning's side of the training: the library's loss, the core's optimizer."""

    def __init__(self, net: ForecastingNet, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net, trainer

    def training_step(self, batch: ForecastingBatch, batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        x, y = batch
        return self.net.loss(self.net(x), y)

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)


def train_forecasting(
    name: str,
    panel: Panel,
    label: str,
    model_cfg: ModelConfig,
    trainer: TrainerConfig,
    folder: Checkpoints,
    log: RunLog,
    seed: int,
) -> tuple[ForecastingModel, dict[str, dict[str, float]]]:
    """Train tft or deepar on the panel's past; return the model and the importance of its variables.

    folder: checkpoints; a training that was cut off is resumed. Raises InputError, too_short, where no series has a
    window: SHORTEST steps (or a shorter context) and the horizon.
    """
    description = description_of(name, panel, label, model_cfg.context, model_cfg.horizon)
    windows = learning_windows(panel, description)
    torch.manual_seed(seed)
    net = ForecastingNet(description)
    net.learn_scales(panel)
    fit_soundly(Learning(net, trainer), WindowSource(windows, net), trainer, folder, log, seed)
    model = ForecastingModel(net)
    return model, model.importance(panel, seed)
