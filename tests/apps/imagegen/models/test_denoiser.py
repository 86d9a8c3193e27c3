from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

from apps.imagegen.models.denoiser import (
    attention_for_learning,
    denoising_loss,
    new_denoiser,
    training_scheduler,
)


class Knowing(torch.nn.Module):
    """Knows the one latent that there is: returns its exact velocity, plus an error of a given size."""

    def __init__(self, latent: torch.Tensor, alpha_S: torch.Tensor, error: float) -> None:
        super().__init__()
        self.latent, self.alpha_S, self.error = latent, alpha_S, error
        self.steps: list[int] = []

    def forward(self, noisy: torch.Tensor, step_B: torch.Tensor, state_BTD: torch.Tensor) -> SimpleNamespace:
        self.steps += step_B.tolist()
        alpha = self.alpha_S[step_B][:, None, None, None]
        noise = (noisy - alpha.sqrt() * self.latent) / (1 - alpha).sqrt()
        return SimpleNamespace(sample=alpha.sqrt() * noise - (1 - alpha).sqrt() * self.latent + self.error)


def test_it_is_diffusers_own_class_of_nineteen_million_parameters() -> None:
    net = new_denoiser(128, 384)
    assert type(net) is UNet2DConditionModel
    assert sum(parameter.numel() for parameter in net.parameters()) == 19_205_112
    assert (net.config["sample_size"], net.config["in_channels"]) == (16, 8)


def test_the_exact_velocity_has_no_loss_and_every_step_comes() -> None:
    alpha_S = training_scheduler().alphas_cumprod
    latent = torch.randn(2000, 1, 1, 1)
    torch.manual_seed(0)
    knowing = Knowing(latent, alpha_S, error=0.0)
    assert denoising_loss(knowing, alpha_S, latent, torch.zeros(2000, 1, 1)) < 1e-6
    assert len(set(knowing.steps)) > 800
    assert 0 <= min(knowing.steps) < 10
    assert 990 < max(knowing.steps) <= 999


@pytest.mark.parametrize(("alpha", "weight"), [(0.5, 0.5), (0.9, 0.5), (0.01, 0.1), (1 / 3, 1 / 3)])
def test_an_error_weighs_as_min_snr_of_five_says(alpha: float, weight: float) -> None:
    # min(SNR, 5) / (SNR + 1) with SNR = α / (1 - α), and 0.1 at least: 0.9 has SNR 9, so 5 / 10
    alpha_S = torch.tensor([alpha])
    latent = torch.randn(4, 1, 2, 2)
    loss = denoising_loss(Knowing(latent, alpha_S, error=1.0), alpha_S, latent, torch.zeros(4, 1, 1))
    assert loss.item() == pytest.approx(weight, rel=1e-4)


def test_latents_are_not_clipped_and_the_last_step_is_noise() -> None:
    scheduler = training_scheduler()
    assert scheduler.config["clip_sample"] is False
    assert scheduler.config["timestep_spacing"] == "trailing"
    assert scheduler.alphas_cumprod[-1] < 1e-6


def test_attention_for_learning_gives_the_same_gradients_and_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    net = new_denoiser(64, 16)
    before = dict(net.attn_processors)
    latent_BLhw, state_BTD = torch.randn(2, 8, 8, 8), torch.randn(2, 3, 16)

    def gradients() -> list[torch.Tensor]:
        net.zero_grad()
        net(latent_BLhw, 500, state_BTD).sample.square().mean().backward()
        return [one.grad.clone() for one in net.parameters() if one.grad is not None]

    fused = gradients()
    with attention_for_learning(net):
        assert {type(one) for one in net.attn_processors.values()} == {AttnProcessor}
        plain = gradients()
    assert net.attn_processors == before
    assert max((a - b).abs().max() for a, b in zip(fused, plain, strict=True)) < 1e-5
