from __future__ import annotations

import pytest

from apps.imagegen.models.digests import pipeline_digest
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("ours") / "tiny"))


def of(one: Pipeline, **noise: object) -> str:
    settings = {**one.scheduler_config, **noise}
    return pipeline_digest(one.tokenizer, one.text_encoder, one.unet, one.vae, settings)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_every_network_counts(pipeline: Pipeline, part: str) -> None:
    weight = next(getattr(pipeline, part).parameters())
    kept = weight.detach().clone()
    weight.data.add_(1e-3)
    changed = of(pipeline)
    weight.data.copy_(kept)
    assert changed != of(pipeline) == pipeline.digest


def test_tokens_and_noise_count_and_notes_do_not(pipeline: Pipeline) -> None:
    assert of(pipeline) == pipeline.digest
    assert of(pipeline, _diffusers_version="0.0", _name_or_path="/elsewhere") == pipeline.digest
    assert of(pipeline, beta_schedule="sigmoid") != pipeline.digest
    kept, pipeline.tokenizer.model_max_length = pipeline.tokenizer.model_max_length, 7
    try:
        assert of(pipeline) != pipeline.digest
    finally:
        pipeline.tokenizer.model_max_length = kept
