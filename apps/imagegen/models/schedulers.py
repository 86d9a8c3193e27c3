"""Schedulers by name: diffusers' own classes, a new instance for each image, so that none shares a state.

They keep the noise that the model was trained on and differ in how they remove it. Whatever a folder says, latents
are never clipped (DDIM and DDPM would, by default, which spoils every picture) and steps are spaced "trailing", so
that the first starts from pure noise (Lin et al. 2023, arXiv:2305.08891) and the last ends where there is none.
Legend: L latent channels, h, w rows and columns of latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from apps.imagegen.reasons import PIPELINE
from core.text.quoting import quoted

SCHEDULERS: dict[str, tuple[Any, Mapping[str, Any]]] = {
    "ddim": (
        DDIMScheduler,
        {"clip_sample": False, "set_alpha_to_one": True},
    ),  # Song et al. 2021, arXiv:2010.02502
    "ddpm": (DDPMScheduler, {"clip_sample": False}),  # Ho et al. 2020, arXiv:2006.11239
    "euler": (EulerDiscreteScheduler, {}),  # Karras et al. 2022, arXiv:2206.00364, algorithm 2 without churn
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (DPMSolverMultistepScheduler, {}),  # Lu et al. 2022, arXiv:2211.01095
    "unipc": (UniPCMultistepScheduler, {}),  # Zhao et al. 2023, arXiv:2302.04867
}
# What of a folder's scheduler says which noise the model knows; the rest says how the folder's own removes it.
_NOISE = (
    "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
    "rescale_betas_zero_snr",
)  # fmt: skip
_PREDICTIONS = ("epsilon", "v_prediction")


def check_noise(config: Mapping[str, Any]) -> None:
    """Raise InputError noise_prediction or noise_unknown where none of these can remove a folder's noise."""
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise PIPELINE("noise_prediction", value=quoted(prediction), known=", ".join(_PREDICTIONS))
    try:
        new_scheduler("ddim", config)
    except Exception as error:  # whatever a foreign file makes it raise
        raise PIPELINE("noise_unknown") from error


def new_scheduler(name: str, config: Mapping[str, Any], steps: int | None = None) -> Any:
    """Return a scheduler of its own, set to so many steps. config: scheduler_config.json of the pipeline's folder.

    name: of SCHEDULERS.
    """
    kind, settings = SCHEDULERS[name]
    noise = {key: config[key] for key in _NOISE if key in config and key in kind().config}
    scheduler = kind(**{**noise, **settings, "timestep_spacing": "trailing", "steps_offset": 1})
    if steps is not None:
        scheduler.set_timesteps(steps)
        if name == "euler_a":
            # from sigma 20,000 to 2, as the cosine noise has it, float32 gives it the root of less than nothing
            scheduler.sigmas = scheduler.sigmas.double()
    return scheduler


def step(
    scheduler: Any, predicted_1Lhw: Tensor, at: Tensor, latent_1Lhw: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the latents after one step, and where the model now sees the end of all steps: the picture so far.

    Both (1, L, h, w). predicted_1Lhw: the U-Net's answer. at: the time step, one of the scheduler's own, () or (1,).
    generator: of the noise that a random sampler adds; the others do not draw from it.
    """
    random = {"generator": generator} if _is_random(scheduler) else {}
    taken = scheduler.step(predicted_1Lhw, at, latent_1Lhw, **random)
    # multistep solvers keep their prediction; the others return it
    predicted = (
        scheduler.model_outputs[-1] if hasattr(scheduler, "model_outputs") else taken.pred_original_sample
    )
    return taken.prev_sample, predicted


def _is_random(scheduler: Any) -> bool:
    return isinstance(scheduler, (DDPMScheduler, EulerAncestralDiscreteScheduler))
