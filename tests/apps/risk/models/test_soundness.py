"""Networks that forecast nonsense: refused when loaded, and their series where they forecast."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import DEFAULT, RiskModel, save_riskformer
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.soundness import FAR, implausible, require_sound
from core.errors import InputError
from tests.apps.risk.models.networks import untrained
from tests.apps.risk.models.test_baselines import panel, returns


def damaged(
    change: Callable[[torch.Tensor], object], name: str = "quantile_head.linear.weight"
) -> RiskformerTargets:
    """A network of which one tensor was changed in place."""
    model = untrained()
    with torch.no_grad():
        change(model.net.state_dict()[name])
    return model


def missing(value: torch.Tensor) -> None:
    value[0, 0] = torch.nan


CHANGES = {"not finite": missing, "absurd": lambda value: value.mul_(1e4)}


def test_a_forecast_far_beyond_the_history_is_implausible() -> None:
    past_NT = np.array([[1.0, 3.0, np.nan], [1.0, 3.0, 2.0], [5.0, 5.0, 5.0], [np.nan] * 3, [1.0, 3.0, 1.0]])
    edge = 3.0 + 2.0 * FAR
    forecast_NX = np.array([[[2.0, edge]], [[2.0, edge + 0.1]], [[1e9, 5.0]], [[0.0, 0.0]], [[np.nan, 2.0]]])
    assert implausible(forecast_NX, past_NT).tolist() == [False, True, False, False, True]


@pytest.mark.parametrize("how", CHANGES)
def test_a_folder_of_a_diverged_network_is_refused(how: str, tmp_path: Path) -> None:
    model = damaged(CHANGES[how])
    result = save_riskformer(model, tmp_path)
    write_description(tmp_path, Description(TargetsPart("riskformer", {"riskformer": result})))
    with pytest.raises(InputError, match="holds a network that forecasts nonsense") as caught:
        RiskModel.from_pretrained(tmp_path)
    assert (caught.value.code, caught.value.exit_code) == ("weights_unsound", 2)


@pytest.mark.parametrize("how", CHANGES)
def test_series_of_a_diverged_network_have_a_reason_and_no_numbers(how: str) -> None:
    forecast = damaged(CHANGES[how]).forecast(panel(returns(3, 300)), "target", 5, 500, 0)
    assert forecast.reason_N == ("implausible",) * 3
    assert np.isnan(forecast.path_SNH).all()


def test_sound_networks_are_not_refused() -> None:
    require_sound(untrained().net, "it")
    targets = RiskModel.from_pretrained(DEFAULT).targets
    assert targets is not None
    wild_NT = returns(4, 700) * np.array([1e-9, 1.0, 1e12, 1.0])[:, None]
    wild_NT[3, 350:] *= 8.0  # a storm
    assert targets.forecast(panel(wild_NT), "target", 10, 500, 0).reason_N == ("",) * 4
