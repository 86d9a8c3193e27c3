"""Exported networks in place of PyTorch's, by the Python API."""

from __future__ import annotations

import pytest

from apps.risk.models.on_artifacts import on_artifacts
from apps.risk.models.risk_model import load_model
from core.errors import ConfigError, InputError
from core.export.predictor import Predictor
from tests.apps.risk.exported import exported, series


def test_a_model_is_loaded_with_exported_networks() -> None:
    weights, folder = series()[0], exported("series")[0]
    plain, other = load_model(weights), load_model(weights, artifacts=folder, runtime="onnx")
    assert (dict(plain.runtimes), dict(other.runtimes)) == ({}, {"targets": "onnx"})
    assert plain.digest != other.digest
    networks = other.targets.networks  # type: ignore[union-attr]
    assert set(networks) == {"forecast", "forecast_alone"}
    assert all(isinstance(one, Predictor) for one in networks.values())
    assert not plain.targets.networks  # type: ignore[union-attr]


def test_artifacts_that_nothing_can_run_are_refused() -> None:
    weights, folder = series()[0], exported("series")[0]
    with pytest.raises(InputError, match="the models that score are gjr_garch"):
        load_model(weights, "gjr_garch", artifacts=folder)
    with pytest.raises(ConfigError, match="device=cuda asks for a GPU"):
        load_model(weights, artifacts=folder, device="cuda")
    with pytest.raises(InputError, match="other weights"):
        on_artifacts(load_model(weights).targets, None, "0" * 64, folder, "onnx")
