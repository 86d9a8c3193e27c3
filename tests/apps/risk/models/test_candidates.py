"""Models by name, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.models.baselines import FilteredHistoricalSimulation, GjrGarch, HistoricalSimulation
from apps.risk.models.candidates import candidates
from core.errors import InputError


def test_baselines_need_no_folder_and_keep_their_order() -> None:
    result = candidates(["gjr_garch", "historical_simulation", "gjr_garch"], Path("nowhere"), every=5)
    assert list(result.items()) == [
        ("gjr_garch", GjrGarch(every=5)),
        ("historical_simulation", HistoricalSimulation()),
    ]
    assert candidates(["filtered_historical_simulation"], None) == {
        "filtered_historical_simulation": FilteredHistoricalSimulation()
    }


def test_a_trained_model_comes_from_the_folder() -> None:
    result = candidates(["riskformer"], None, "cpu")
    assert result["riskformer"].name == "riskformer"


def test_a_folder_without_the_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a folder of a trained model") as caught:
        candidates(["riskformer"], tmp_path)
    assert caught.value.code == "weights_missing"
