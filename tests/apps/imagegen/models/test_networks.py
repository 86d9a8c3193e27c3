"""What is declared of the networks holds for them: they take what is drawn, and reach every size of the model."""

from __future__ import annotations

import pytest
import torch

from apps.imagegen.models.networks import networks_of
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.sampling import Sampled
from core.export.check import sizes_of
from core.export.network import Network, as_tuple
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

NAMES = ["text_encoder", "unet", "vae_encoder", "vae_decoder"]


def declared(pipeline: Pipeline) -> dict[str, Network]:
    return {one.name: one for one in networks_of(pipeline, Sampled, Sampled)}


@pytest.fixture(scope="module", params=[tiny_pipeline, tiny_sd15])
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(request.param(tmp_path_factory.mktemp("model") / "tiny"), "cpu")


@pytest.mark.parametrize("name", NAMES)
def test_each_network_takes_what_is_drawn_and_returns_what_is_declared(pipeline: Pipeline, name: str) -> None:
    network = declared(pipeline)[name]
    for sizes in network.sizes:
        assert all(network.axis(dim).allows(size) for dim, size in sizes.items())
        inputs = network.draw(sizes, torch.Generator().manual_seed(0))
        assert sizes_of(network, inputs) == sizes
        for port, tensor in zip(network.inputs, inputs, strict=True):
            assert str(tensor.dtype) == f"torch.{port.dtype}"
            assert port.low is None or tensor.min() >= port.low
            assert port.high is None or tensor.max() <= port.high
        with torch.no_grad():
            outputs = as_tuple(network.module(*inputs))
        assert [one.ndim for one in outputs] == [len(port.dims) for port in network.outputs]
        for port, tensor in zip(network.outputs, outputs, strict=True):
            for dim, size in zip(port.dims, tensor.shape, strict=True):
                assert size == (dim if isinstance(dim, int) else sizes.get(dim, size))


def test_the_axes_hold_every_size_that_the_model_draws(pipeline: Pipeline) -> None:
    networks = declared(pipeline)
    assert list(networks) == NAMES
    for width, height in pipeline.limits.sizes:
        h, w = height // pipeline.factor, width // pipeline.factor
        for name in ("unet", "vae_decoder"):
            assert networks[name].axis("h").allows(h)
            assert networks[name].axis("w").allows(w)
        assert networks["vae_encoder"].axis("H").allows(height)
        assert networks["vae_encoder"].axis("W").allows(width)
    tokens = int(pipeline.tokenizer.model_max_length)
    assert all(
        networks["unet"].axis("T").allows(tokens * chunks) for chunks in (1, pipeline.limits.text_chunks)
    )


def test_the_mask_of_padding_is_an_input_where_the_encoder_takes_one(pipeline: Pipeline) -> None:
    names = [port.name for port in declared(pipeline)["text_encoder"].inputs]
    masked = bool(getattr(pipeline.text_encoder.config, "use_attention_mask", False))
    assert names == (["ids", "mask"] if masked else ["ids"])
