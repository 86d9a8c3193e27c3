"""How the two networks learn: Lightning's side of it.

Legend: B samples, C channels, H rows, W columns, L latent channels, h, w of latents, T tokens, D of their states.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from apps.imagegen.models.autoencoder import reconstruction_loss, to_signed
from apps.imagegen.models.denoiser import attention_for_learning, denoising_loss
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule


class Compressing(pl.LightningModule):
    """Training of the autoencoder on crops, (B, H, W, C) uint8."""

    def __init__(self, net: AutoencoderKL, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net.to(memory_format=torch.channels_last), trainer

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        return reconstruction_loss(self.net, to_signed(batch))

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)


class Denoising(pl.LightningModule):
    """Training of the denoiser on latents (B, L, h, w) and states of their captions (B, T, D)."""

    def __init__(self, net: UNet2DConditionModel, alpha_T: Tensor, trainer: TrainerConfig) -> None:
        super().__init__()
        self.net, self.config = net.to(memory_format=torch.channels_last), trainer
        self.alpha_T: Tensor
        self.register_buffer("alpha_T", alpha_T, persistent=False)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        latent_BLhw, state_BTD = batch
        with attention_for_learning(self.net):
            return denoising_loss(self.net, self.alpha_T, latent_BLhw, state_BTD.float())

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)
