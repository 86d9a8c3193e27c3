"""Inputs of all networks as they occur while a pipeline draws: what an export is compared and calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.batch import DenoisingState, answer, inputs_of
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.models.text import takes_mask, tokenized

STEPS = 8
_ROWS = 4  # two pictures with guidance


@dataclass
class Sampled:
    """What the networks were given.

    tokens: of each prompt, (1, T), with the mask of padding where the encoder takes it. steps: latents, times and
    states of some denoising steps, four rows each. latents: finished, divided by the scaling factor, (1, L, h, w).
    pictures: decoded, (1, 3, H, W) in -1 … 1.
    """

    tokens: list[tuple[Tensor, ...]] = field(default_factory=list)
    steps: list[tuple[Tensor, ...]] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)
    pictures: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def sample(pipeline: Pipeline, prompts: Sequence[str], seed: int, kept: int = 3) -> Sampled:
    """Draw an even number of prompts, two at a time, at the model's own size by PyTorch.

    kept: steps that are kept of each pair, others of each, so that all times occur.
    """
    result = Sampled()
    for index in range(0, len(prompts), 2):
        pair = prompts[index : index + 2]
        result.tokens += [_tokens(pipeline, prompt) for prompt in pair]
        recipes = [
            pipeline.resolve(Recipe(prompt, seed=seed + index + n, steps=STEPS, text_chunks=1))
            for n, prompt in enumerate(pair)
        ]
        drawings = [DenoisingState(pipeline, one, pipeline.states(["", one.prompt])) for one in recipes]
        wanted = {(index // 2 + n * STEPS // kept) % STEPS for n in range(kept)}
        while drawings[0].done < drawings[0].steps:
            inputs = inputs_of(drawings, _ROWS)
            if drawings[0].done in wanted:
                result.steps.append(inputs)
            for drawing, answered in zip(drawings, answer(pipeline, *inputs).split(2), strict=True):
                drawing.advance(answered)
        for drawing in drawings:
            result.latents.append(drawing.latent_1Lhw / float(pipeline.vae.config["scaling_factor"]))
            result.pictures.append(pipeline.decoded(drawing.latent_1Lhw).clamp(-1.0, 1.0).contiguous())
    return result


def _tokens(pipeline: Pipeline, prompt: str) -> tuple[Tensor, ...]:
    tokenizer = pipeline.tokenizer
    tokens = tokenized(
        tokenizer,
        [prompt],
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    names = ("input_ids", "attention_mask") if takes_mask(pipeline.text_encoder) else ("input_ids",)
    return tuple(tokens[name] for name in names)
