from __future__ import annotations

import torch

from apps.imagegen.models.autoencoder import new_autoencoder
from apps.imagegen.models.denoiser import new_denoiser, training_scheduler
from apps.imagegen.models.learning import Compressing, Denoising
from core.training.config import TrainerConfig


def test_the_autoencoder_learns_from_bytes() -> None:
    torch.manual_seed(0)
    module = Compressing(new_autoencoder(64), TrainerConfig())
    loss = module.training_step(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8), 0)
    loss.backward()
    assert loss > 0
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_the_denoiser_learns_from_latents_and_words() -> None:
    torch.manual_seed(0)
    module = Denoising(new_denoiser(64, 16), training_scheduler().alphas_cumprod, TrainerConfig())
    loss = module.training_step((torch.randn(2, 8, 8, 8), torch.randn(2, 4, 16, dtype=torch.float16)), 0)
    loss.backward()
    assert loss > 0
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert "alpha_T" not in module.state_dict()
