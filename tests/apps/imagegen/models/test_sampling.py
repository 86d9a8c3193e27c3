"""Inputs of an export are those that the networks see while they draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.autoencoder import to_bytes
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.models.sampling import STEPS, sample
from tests.apps.imagegen.tiny import TOKENS, WIDTH, tiny_pipeline

PROMPTS = ["red apple", "blue car", "cat face", "pizza"]


def test_a_sample_holds_the_inputs_of_all_networks(tmp_path: Path) -> None:
    pipeline = load_pipeline(tiny_pipeline(tmp_path / "tiny"), "cpu")
    result = sample(pipeline, PROMPTS, seed=5)
    assert [[one.shape for one in tokens] for tokens in result.tokens] == [[(1, TOKENS)] * 2] * 4
    assert len(result.steps) == 2 * 3
    for latent_RLhw, time_R, state_RTD in result.steps:
        assert (latent_RLhw.shape, time_R.shape, state_RTD.shape) == ((4, 8, 4, 4), (4,), (4, TOKENS, WIDTH))
    assert len({float(time_R[0]) for _, time_R, _ in result.steps}) > 3, "the pairs keep other steps"
    with Engine(pipeline) as engine:
        drawn = engine.submit(Recipe(PROMPTS[3], seed=5 + 3, steps=STEPS)).result()
    seen = to_bytes(result.pictures[3])[0].numpy()
    assert np.abs(seen.astype(int) - drawn.astype(int)).max() <= 1
    assert torch.equal(pipeline.vae.decode(result.latents[3]).sample.clamp(-1, 1), result.pictures[3])
