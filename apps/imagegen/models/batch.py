"""One image under way, and the batch that several share for one step of the U-Net.

Each image has a scheduler, a generator and latents of its own; only the U-Net's rows are shared, and those never see
each other. Legend: R rows of a batch, L latent channels, h, w rows and columns of latents, T tokens, D of their states,
H, W of a picture, C its colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.autoencoder import to_bytes, to_signed
from apps.imagegen.models.pipeline_folder import UNET, Pipeline
from apps.imagegen.models.schedulers import new_scheduler, step
from apps.imagegen.reasons import DRAWING


class DenoisingState:
    """One image between its steps. Complete once constructed: img2img has its picture encoded, noise is drawn.

    The same seed gives the noise that StableDiffusionPipeline, its img2img and its inpainting twin take.
    state_GTD: states of the negative prompt and of the prompt, or of the prompt alone where there is no guidance.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        recipe: Recipe,
        state_GTD: Tensor,
        rgb_HWC: np.ndarray | None = None,
        mask_HW: np.ndarray | None = None,
    ) -> None:
        self.recipe, self.state_GTD = recipe, state_GTD
        self._rgb_HWC, self._mask_HW = rgb_HWC, mask_HW
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._scheduler = new_scheduler(recipe.scheduler, pipeline.scheduler_config, recipe.steps)
        first = 0
        if rgb_HWC is not None and recipe.strength is not None:
            # as StableDiffusionImg2ImgPipeline.get_timesteps, but at least one step is taken
            first = recipe.steps - max(1, min(int(recipe.steps * recipe.strength), recipe.steps))
            # DDIM and DDPM find their step by the time alone.
            if hasattr(self._scheduler, "set_begin_index"):
                self._scheduler.set_begin_index(first)
        self._times = self._scheduler.timesteps[first:]
        self.done = 0
        self.latent_1Lhw: Tensor
        self.foreseen_1Lhw: Tensor | None = None
        self._begin(pipeline)

    @property
    def steps(self) -> int:
        """Steps that it takes in all; fewer than the recipe's where it starts from a picture."""
        return len(self._times)

    @property
    def rows(self) -> int:
        """Rows that it takes in a batch: 2 with guidance, else 1."""
        return len(self.state_GTD)

    @property
    def time(self) -> float:
        """The scheduler's time of its next step."""
        return float(self._times[self.done])

    def input(self) -> Tensor:
        """Return its latents as the U-Net wants them next, (1, L, h, w)."""
        return self._scheduler.scale_model_input(self.latent_1Lhw, self._times[self.done])

    def advance(self, predicted_GLhw: Tensor) -> None:
        """Take one step. predicted_GLhw: the U-Net's answer, (rows, L, h, w)."""
        predicted = predicted_GLhw[-1:]
        if self.rows == 2:
            # Classifier-free guidance, Ho & Salimans 2022, arXiv:2207.12598, as diffusers computes it
            predicted = predicted_GLhw[:1] + self.recipe.guidance * (predicted - predicted_GLhw[:1])
        now = self._times[self.done]
        taken, self.foreseen_1Lhw = step(self._scheduler, predicted, now, self.latent_1Lhw, self._generator)
        self.done += 1
        self.latent_1Lhw = taken if self._mask_11hw is None else self._outside_kept(taken)

    def picture(self, pipeline: Pipeline, latent_1Lhw: Tensor | None = None) -> np.ndarray:
        """Return rgb_HWC uint8 of its latents, or of those given; not painted pixels are the given picture's.

        Raises InternalFault: picture_not_finite.
        """
        chosen = self.latent_1Lhw if latent_1Lhw is None else latent_1Lhw
        seen_1CHW = pipeline.decoded(chosen)
        if not torch.isfinite(seen_1CHW).all():
            raise DRAWING("picture_not_finite")
        drawn_HWC = to_bytes(seen_1CHW)[0].cpu().numpy()
        if self._mask_HW is None or self._rgb_HWC is None:
            return np.ascontiguousarray(drawn_HWC)
        return np.where(self._mask_HW[:, :, None], drawn_HWC, self._rgb_HWC)

    def _begin(self, pipeline: Pipeline) -> None:
        height, width = self.recipe.height // pipeline.factor, self.recipe.width // pipeline.factor
        self._kept_1Lhw = self._mask_11hw = None
        if self._rgb_HWC is not None:
            mean, deviation = pipeline.encoded(to_signed(torch.from_numpy(self._rgb_HWC.copy())[None]))
            spread = torch.randn(mean.shape, generator=self._generator)
            self._kept_1Lhw = (mean + deviation * spread) * float(pipeline.vae.config["scaling_factor"])
        self._noise_1Lhw = torch.randn(
            (1, pipeline.latent_channels, height, width), generator=self._generator
        )
        pure = self._mask_HW is not None and self.recipe.strength == 1.0
        if self._kept_1Lhw is None or pure:
            self.latent_1Lhw = self._noise_1Lhw * self._scheduler.init_noise_sigma
        else:
            self.latent_1Lhw = self._scheduler.add_noise(self._kept_1Lhw, self._noise_1Lhw, self._times[:1])
        if self._mask_HW is not None:
            # a latent is drawn anew if any of its pixels is: what is not painted is put back at the end
            paint = torch.from_numpy(self._mask_HW.copy()).float()[None, None]
            self._mask_11hw = F.max_pool2d(paint, pipeline.factor)

    def _outside_kept(self, drawn_1Lhw: Tensor) -> Tensor:
        """Return the latents with those outside the mask set to the given picture's, as noisy as the next step wants.

        As StableDiffusionInpaintPipeline does with a U-Net that knows no masks.
        """
        kept: Any = self._kept_1Lhw
        if self.done < self.steps:
            kept = self._scheduler.add_noise(kept, self._noise_1Lhw, self._times[self.done : self.done + 1])
        return (1 - self._mask_11hw) * kept + self._mask_11hw * drawn_1Lhw  # type: ignore[operator]


def padded(rows: int, sizes: Sequence[int]) -> int:
    """Return the least of the ascending sizes that holds so many rows, the greatest if none does."""
    return next((size for size in sizes if size >= rows), sizes[-1])


def predict(pipeline: Pipeline, drawings: Sequence[DenoisingState], sizes: Sequence[int]) -> list[Tensor]:
    """Return the U-Net's answer to each drawing, (rows, L, h, w), all from one batch.

    Drawings are of one size; their rows fit the greatest of `sizes`. Empty rows repeat the first.
    """
    rows = [drawing.rows for drawing in drawings]
    predicted_RLhw = answer(pipeline, *inputs_of(drawings, padded(sum(rows), sizes)))
    return list(predicted_RLhw[: sum(rows)].split(rows))


def inputs_of(drawings: Sequence[DenoisingState], size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return a batch of so many rows for the U-Net: latents, (R, L, h, w), times, (R,), and states, (R, T, D)."""
    empty = size - sum(drawing.rows for drawing in drawings)
    input_RLhw = torch.cat(
        [d.input() for d in drawings for _ in range(d.rows)] + [drawings[0].input()] * empty
    )
    time_R = torch.tensor([d.time for d in drawings for _ in range(d.rows)] + [drawings[0].time] * empty)
    state_RTD = torch.cat([d.state_GTD for d in drawings] + [drawings[0].state_GTD[:1]] * empty)
    return input_RLhw, time_R, state_RTD


def answer(pipeline: Pipeline, input_RLhw: Tensor, time_R: Tensor, state_RTD: Tensor) -> Tensor:
    """Return what the U-Net says to rows of its own times and texts, (R, L, h, w) float32 on the CPU."""
    run = pipeline.networks.get(UNET)
    if run is not None:
        answered: Tensor = run(input_RLhw.contiguous(), time_R, state_RTD)
        return answered
    device = pipeline.device
    laid_out = input_RLhw.to(device).contiguous(memory_format=torch.channels_last)
    return pipeline.unet(laid_out, time_R.to(device), state_RTD.to(device)).sample.float().cpu().contiguous()
