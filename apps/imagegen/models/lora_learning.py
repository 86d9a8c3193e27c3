"""How an adapter (LoRA, Hu et al. 2021, arXiv:2106.09685) learns: layers of peft in a frozen denoiser.

Legend: B samples, L latent channels, h, w of latents, T tokens, D of their states, S steps of noise.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from apps.imagegen.models.adapter_file import Update
from apps.imagegen.models.denoiser import attention_for_learning, denoising_loss
from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule

# Attention alone hardly sees fine detail: in small models the finest latents have convolutions only.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "conv1", "conv2")
_KEY = "own"
_GAMMA = 5.0


def add_adapter(net: UNet2DConditionModel, rank: int, seed: int) -> None:
    """Put an adapter into a denoiser that changes nothing yet, and let it alone be trained."""
    net.requires_grad_(requires_grad=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(TARGETS)), adapter_name=_KEY)


def take_adapter(net: UNet2DConditionModel) -> dict[str, Update]:
    """Take the adapter out of a denoiser, which is as before then, and return its updates by module."""
    updates = {
        name: Update(
            layer.lora_A[_KEY].weight.detach(), layer.lora_B[_KEY].weight.detach(), float(layer.r[_KEY])
        )
        for name, layer in net.named_modules()
        if isinstance(layer, LoraLayer)
    }
    net.unload_lora()
    return updates


class Personalising(pl.LightningModule):
    """Training of an adapter on latents (B, L, h, w) and states of texts (B, T, D); its state is the adapter alone.

    net: with an adapter in it. alpha_S: cumulative share of the signal. prediction: "epsilon" or "v_prediction".
    """

    def __init__(
        self, net: UNet2DConditionModel, alpha_S: Tensor, prediction: str, trainer: TrainerConfig
    ) -> None:
        super().__init__()
        self.config, self.prediction = trainer, prediction
        self.adapter = nn.ParameterList([one for one in net.parameters() if one.requires_grad])
        self._net = (net,)  # in a tuple it is not a part of this module, so checkpoints do not carry it
        self.alpha_S: Tensor
        self.register_buffer("alpha_S", alpha_S, persistent=False)

    def on_fit_start(self) -> None:  # noqa: D102
        self._net[0].to(self.device)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        latent_BLhw, state_BTD = batch
        loss = denoising_loss if self.prediction == "v_prediction" else noise_loss
        net = self._net[0]
        with attention_for_learning(net):
            return loss(net, self.alpha_S, latent_BLhw, state_BTD.float())

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), self.config)


def noise_loss(net: UNet2DConditionModel, alpha_S: Tensor, latent_BLhw: Tensor, state_BTD: Tensor) -> Tensor:
    """Return the mean error of the predicted noise at random steps, weighted by min-SNR: for models that predict noise.

    Sources: Ho et al. 2020, arXiv:2006.11239; Hang et al. 2023, arXiv:2303.09556.
    """
    B = len(latent_BLhw)
    step_B = torch.randint(0, len(alpha_S), (B,), device=latent_BLhw.device)
    alpha_B111 = alpha_S[step_B].reshape(B, 1, 1, 1)
    noise_BLhw = torch.randn_like(latent_BLhw)
    noisy_BLhw = alpha_B111.sqrt() * latent_BLhw + (1.0 - alpha_B111).sqrt() * noise_BLhw
    predicted_BLhw = net(noisy_BLhw, step_B, state_BTD).sample
    weight_B = (_GAMMA * (1.0 / alpha_S[step_B] - 1.0)).clamp(max=1.0)
    return (weight_B * (predicted_BLhw.float() - noise_BLhw).square().mean(dim=(1, 2, 3))).mean()
