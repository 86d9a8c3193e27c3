"""What the interface promises, asked of every model that needs no training of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.history import known_until
from apps.risk.data.panel import Panel, build_panel, part
from apps.risk.models.baselines import BASELINES
from apps.risk.models.interface import TargetModel
from tests.apps.risk.models import covariates
from tests.apps.risk.models.networks import untrained

MODELS = {**BASELINES, "riskformer": untrained, "riskformer of a table": lambda: covariates.untrained(made())}


@pytest.fixture(scope="module")
def panel() -> Panel:
    return made()


def made() -> Panel:
    draw = np.random.default_rng(0)
    days = pd.bdate_range("2023-01-02", periods=300).to_numpy().astype("datetime64[us]")
    names = [f"series {number:02d}" for number in range(4)]
    table = pd.concat(
        pd.DataFrame({"entity": name, "time": days, "target": draw.standard_t(5, size=300)}) for name in names
    )
    table = table.assign(entity=table["entity"].astype("category")).reset_index(drop=True)
    return build_panel(table, Columns())


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_forecasts_each_entity_from_the_past_alone(name: str, panel: Panel) -> None:
    model: TargetModel = MODELS[name]()
    assert model.name == name.removesuffix(" of a table")
    seen = known_until(panel, 290)
    forecast = model.forecast(seen, "target", 3, 200, 7)
    assert forecast.path_SNH.shape[0] >= 200
    assert forecast.path_SNH.shape[1:] == (4, 3)
    assert forecast.reason_N == ("",) * 4
    later = panel.value_RF.copy()
    later[np.tile(np.arange(300) >= 290, 4)] = 1e6
    same = model.forecast(replace(seen, value_RF=later), "target", 3, 200, 7)
    np.testing.assert_array_equal(same.path_SNH, forecast.path_SNH)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_answers_for_slices_as_for_the_whole(name: str, panel: Panel) -> None:
    model: TargetModel = MODELS[name]()
    whole = model.forecast(panel, "target", 2, 150, 3).path_SNH
    for first in (0, 2):
        some = model.forecast(part(panel, first, first + 2), "target", 2, 150, 3).path_SNH
        np.testing.assert_allclose(some, whole[:, first : first + 2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"gjr_garch"}))
def test_a_level_of_a_billion_takes_nothing_from_what_changes(name: str, panel: Panel) -> None:
    """In float32 a series around 1e9 has steps of 64: its changes, and so its risk, would be gone.

    arch has its own scaling, and refuses such a mean in words of its own.
    """
    model, high = MODELS[name](), replace(panel, value_RF=panel.value_RF + 1e9)
    plain = model.forecast(panel, "target", 3, 200, 7).quantile_NHQ(np.array([0.05, 0.5, 0.95]))
    raised = model.forecast(high, "target", 3, 200, 7).quantile_NHQ(np.array([0.05, 0.5, 0.95]))
    np.testing.assert_allclose(raised - 1e9, plain, atol=0.02 * np.ptp(plain))
