"""A pipeline on artifacts: which are taken, on how many threads, and that every network of it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models import runtime as module
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.runtime import NETWORKS, most_rows, name_of, on_artifacts
from core.errors import InputError
from core.export.manifest import read_manifest, write_manifest
from core.export.predictor import Predictor, open_artifact
from tests.apps.imagegen.exported import folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first test exports


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(folder() / "tiny", "cpu")


def opened(name: str) -> dict[str, Predictor]:
    out = folder() / "out"
    return {
        one.network: open_artifact(one, out) for one in read_manifest(out).artifacts if one.format == name
    }


def test_each_exported_network_computes_in_place_of_pytorchs(pipeline: Pipeline) -> None:
    called: list[str] = []

    def noted(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: torch.Tensor) -> Any:
            called.append(name)
            return run(*inputs)

        return call

    networks = {name: noted(name, run) for name, run in opened("torchscript").items()}
    other = replace(pipeline, networks=networks)
    rgb_HWC = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    recipe = Recipe(f"{'red apple ' * 20}", steps=4, strength=0.5, seed=3)
    drawn = []
    for one in (pipeline, other):
        with Engine(one) as engine:
            drawn.append(engine.submit(recipe, image=rgb_HWC).result())
    assert np.abs(drawn[0].astype(int) - drawn[1].astype(int)).max() <= 1
    assert set(called) == set(NETWORKS)


def test_a_runtime_is_named_by_its_format_and_files(pipeline: Pipeline) -> None:
    networks = opened("torchscript")
    whole = name_of(networks)
    assert whole.startswith("torchscript:")
    assert name_of(dict(reversed(networks.items()))) == whole
    fewer = {name: one for name, one in networks.items() if name != "vae_encoder"}
    assert name_of(fewer) != whole


def test_batches_are_no_larger_than_the_u_net_takes(pipeline: Pipeline) -> None:
    assert most_rows(pipeline) > 64
    assert most_rows(replace(pipeline, networks=opened("openvino"))) == 63


def test_a_u_net_whose_rows_depend_on_their_batch_is_refused_in_one_line(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    (unet,) = (
        one
        for one in read_manifest(folder() / "out").artifacts
        if one.network == "unet" and one.format == "torchscript"
    )
    assert unet.rows_independent is False
    with pytest.raises(
        InputError, match=r"runtime=torchscript cannot draw: .* choose another runtime= \(openvino\)"
    ) as caught:
        on_artifacts(pipeline, folder() / "out", "torchscript")
    assert caught.value.code == "runtime_unet_rows"
    assert "".join(capsys.readouterr()) == ""  # no note on networks that PyTorch would run


def test_a_format_without_a_u_net_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    manifest = read_manifest(folder() / "out")
    others = tuple(one for one in manifest.artifacts if one.network != "unet")
    write_manifest(replace(manifest, artifacts=others), tmp_path)
    with pytest.raises(InputError, match=r"holds no U-Net in torchscript: .* \(none\)") as caught:
        on_artifacts(pipeline, tmp_path, "torchscript")
    assert caught.value.code == "runtime_without_unet"


@pytest.mark.parametrize(("spoil", "threads"), [(0.0, 3), (1e-6, 1)])
def test_several_threads_compute_where_they_give_the_same_bits(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, spoil: float, threads: int
) -> None:
    (artifact,) = (one for one in read_manifest(folder() / "out").artifacts if one.format == "openvino")

    def stands_in(*_: object, threads: int) -> Predictor:
        predictor = Predictor(artifact, lambda x, _time, _states: (x + spoil * (threads > 1),))
        predictor.threads = threads  # type: ignore[attr-defined]
        return predictor

    monkeypatch.setattr(module, "open_artifact", stands_in)
    monkeypatch.setattr(module, "open_predictors", lambda *_, **__: {"unet": stands_in(threads=1)})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    other = on_artifacts(pipeline, folder() / "out", "openvino")
    assert other.networks["unet"].threads == threads  # type: ignore[attr-defined]


def test_auto_leaves_pytorch_where_nothing_is_faster(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_predictors", lambda *_, **__: {})
    assert on_artifacts(pipeline, folder() / "out", "auto") is pipeline
