from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from apps.imagegen.config import SCHEDULERS as NAMED
from apps.imagegen.models.denoiser import training_scheduler
from apps.imagegen.models.schedulers import SCHEDULERS, check_noise, new_scheduler, step
from core.errors import InputError

# diffusers hands tensors to NumPy in a way that NumPy 2 calls old
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

COSINE = dict(training_scheduler().config)
STABLE_DIFFUSION = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "clip_sample": True,
}
NOISES = {"cosine": COSINE, "stable diffusion": STABLE_DIFFUSION}
PREDICTIONS = ("epsilon", "v_prediction")
NOT_RANDOM = ("ddim", "euler", "dpmpp_2m", "unipc")


def drawn(name: str, config: dict[str, Any], steps: int, mean: float, std: float) -> tuple[Tensor, Tensor]:
    """Draw with a denoiser that knows its data, N(mean, std²), exactly; return what came out and the first noise.

    At signal share a: E[x0 | x] = mean + √a std² (x - √a mean) / (a std² + 1 - a).
    """
    scheduler = new_scheduler(name, config, steps)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((1, 4, 8, 8), generator=generator)
    latent = noise * scheduler.init_noise_sigma
    for now in scheduler.timesteps:
        seen = scheduler.scale_model_input(latent, now).double()
        share = float(np.interp(float(now), np.arange(1000), scheduler.alphas_cumprod.double()))
        signal, sigma = share**0.5, (1 - share) ** 0.5
        foreseen = mean + signal * std**2 * (seen - signal * mean) / (share * std**2 + 1 - share)
        epsilon = (seen - signal * foreseen) / sigma
        velocity = signal * epsilon - sigma * foreseen
        result = epsilon if config.get("prediction_type", "epsilon") == "epsilon" else velocity
        latent, end = step(scheduler, result.float(), now, latent, generator)
        # an epsilon tells hardly anything of the picture where there is hardly any signal
        assert torch.allclose(end.double(), foreseen, atol=1e-4 + 1e-6 / signal), (
            "the end is read off rightly"
        )
    return latent, noise


def test_every_name_of_the_command_line_is_there() -> None:
    assert tuple(SCHEDULERS) == NAMED


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_denoiser_that_knows_one_picture_ends_at_it(name: str, noise: str, prediction: str) -> None:
    for steps in (5, 10, 25):
        latent, _ = drawn(name, {**NOISES[noise], "prediction_type": prediction}, steps, mean=2.5, std=0.0)
        assert (latent - 2.5).abs().max() < 1e-4, steps


@pytest.mark.parametrize("name", SCHEDULERS)
def test_any_number_of_steps_ends_at_numbers(name: str) -> None:
    """Euler's ancestral steps took a root of less than nothing at 3 steps of the cosine noise, in float32."""
    for steps in (1, 2, 3, 4, 6, 7, 9, 11, 13, 17, 23, 31, 64):
        latent, _ = drawn(name, COSINE, steps, mean=0.5, std=0.0)
        assert (latent - 0.5).abs().max() < 0.05, steps


@pytest.mark.parametrize("name", NOT_RANDOM)
def test_more_steps_come_nearer_to_the_exact_flow(name: str) -> None:
    """For N(m, s²) the probability flow carries noise z to m + s z (Song et al. 2021, arXiv:2011.13456, eq. 13)."""
    errors = []
    for steps in (5, 20, 100):
        latent, noise = drawn(name, COSINE, steps, mean=0.3, std=0.8)
        errors.append(float((latent - (0.3 + 0.8 * noise)).abs().mean()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.02


@pytest.mark.parametrize("name", [name for name in SCHEDULERS if name not in NOT_RANDOM])
def test_random_ones_draw_the_right_distribution(name: str) -> None:
    latent, _ = drawn(name, COSINE, 100, mean=0.3, std=0.8)  # 256 numbers: standard errors are .05 and .035
    assert float(latent.mean()) == pytest.approx(0.3, abs=0.2)
    assert float(latent.std()) == pytest.approx(0.8, abs=0.14)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_each_image_has_a_scheduler_of_its_own_and_latents_are_not_clipped(name: str) -> None:
    one, other = new_scheduler(name, COSINE, 5), new_scheduler(name, COSINE)
    assert one is not other
    assert other.num_inference_steps is None
    assert one.config.get("clip_sample", False) is False
    assert one.config.timestep_spacing == "trailing"
    assert float(one.timesteps[0]) == 999


def test_only_the_noise_is_taken_from_a_folder() -> None:
    scheduler = new_scheduler(
        "ddim", {**STABLE_DIFFUSION, "thresholding": True, "timestep_spacing": "leading"}
    )
    assert isinstance(scheduler, DDIMScheduler)
    assert scheduler.config.beta_end == 0.012
    assert scheduler.config.thresholding is False


def test_noise_that_is_not_known_is_refused() -> None:
    check_noise(COSINE)
    check_noise(STABLE_DIFFUSION)
    with pytest.raises(
        InputError, match='the model predicts "sample"; one of epsilon, v_prediction'
    ) as caught:
        check_noise({**COSINE, "prediction_type": "sample"})
    assert caught.value.code == "noise_prediction"
    with pytest.raises(InputError, match="names no known noise") as caught:
        check_noise({**COSINE, "beta_schedule": "mine"})
    assert caught.value.code == "noise_unknown"
