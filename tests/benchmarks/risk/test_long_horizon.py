"""The short twin: made-up series through the whole measurement; the published baseline met on the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.samples import SAMPLES, Sample
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import save_riskformer
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import RiskFormer
from benchmarks.risk.long_horizon import POINT, TASKS, load_window, run
from core.data.paths import data_root
from core.errors import InputError

DAYS, SERIES, HORIZON = 130, 5, 30
TASK = next(task for task in TASKS if task.sample == "exchange_rate")


def sample() -> Sample:
    """Series of a week's pattern, lower in the first week alone; the last one shifts by 1 in the days held out."""
    days = pd.bdate_range("2020-01-06", periods=DAYS)
    value: np.ndarray = np.tile(np.arange(1.0, 6.0), DAYS // 5) + np.arange(SERIES)[:, None]
    value[:, :5] -= 0.5
    value[-1, -HORIZON:] += np.ones(HORIZON)
    tables = [pd.DataFrame({"series": f"s{n}", "time": days, "value": value[n]}) for n in range(SERIES)]
    columns = Columns(entity="series", time="time", targets=("value",))
    return Sample("exchange_rate", pd.concat(tables, ignore_index=True), columns, "", "", "")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLES, "exchange_rate", sample)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.manual_seed(0)
    net = RiskFormer(Size(width=16, layers=1, heads=2, kv_heads=1, hidden=16, patch=8, group_every=2))
    model = RiskformerTargets(net, context=32)
    part = TargetsPart("riskformer", {"riskformer": save_riskformer(model, tmp_path)})
    write_description(tmp_path, Description(part))
    return str(tmp_path)


@pytest.mark.usefixtures("made_up")
def test_the_window_is_the_end_and_the_panel_what_came_before() -> None:
    window = load_window(TASK)
    assert window.actual_NH.shape == (SERIES, HORIZON)
    assert len(window.panel.calendar_T) == DAYS - HORIZON
    assert window.actual_NH[0, :6].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 1.0]
    assert window.actual_NH[-1, 0] == 6.0
    # five changes of a half among those of the past
    assert window.scale_N == pytest.approx(np.full(SERIES, 5 * 0.5 / (DAYS - HORIZON - 5)))
    assert load_window(TASK, 2).panel.entities == ("s0", "s1")


@pytest.mark.usefixtures("made_up")
def test_all_models_are_measured_beside_the_published_ones(weights: str) -> None:
    record = run(weights=weights, samples="40", tasks="exchange_rate")
    exchange = record["tasks"]["exchange_rate"]
    assert set(exchange["models"]) == {POINT, "seasonal_naive", "riskformer"}
    for figures in exchange["models"].values():
        wql = figures["WQL"]
        assert 0.0 <= wql["low"] <= wql["value"] <= wql["high"]
    # off by 1 in one series of five, whose days sum to 8 a day beside 3, 4, 5, 6
    assert exchange["models"][POINT]["WQL"]["value"] == pytest.approx(1.0 / (3 + 4 + 5 + 6 + 8))
    assert exchange["models"][POINT]["MASE"]["value"] == pytest.approx(1.0 / SERIES / (5 * 0.5 / 95))
    assert exchange["models"][POINT]["worst series, MASE"] == pytest.approx(95 / 2.5)
    assert exchange["models"]["riskformer"]["WQL"]["value"] > exchange["models"][POINT]["WQL"]["value"]
    assert exchange["published"]["figures"]["Chronos-Bolt"] == 0.0120
    assert record["headline"]["exchange_rate WQL, point_naive"] == "0.0385"
    assert "40 resamples of whole series" in record["protocol"]


def test_names_that_are_not_there_are_refused(weights: str, made_up: None) -> None:
    with pytest.raises(InputError, match="'m5' is no task; there are m4_hourly, exchange_rate"):
        run(tasks="m5")
    with pytest.raises(InputError, match="there is no model 'arima' of targets"):
        run(weights=weights, models="arima", tasks="exchange_rate")


@pytest.mark.realdata
@pytest.mark.skipif(data_root() is None, reason="needs the folder of real data: set $TRIPTYCH_DATA")
def test_the_published_seasonal_naive_is_met(weights: str) -> None:
    """Same data, same protocol, same digits; tables of results of Chronos (0.0129841406759913) and GIFT-Eval."""
    tasks = run(weights=weights, models=POINT, samples="20")["tasks"]
    exchange = tasks["exchange_rate"]["models"][POINT]
    assert exchange["WQL"]["value"] == pytest.approx(0.0129841406759913, rel=1e-6)
    assert exchange["MASE"]["value"] == pytest.approx(1.7401824286954128, rel=1e-6)
    hourly = tasks["m4_hourly"]["models"][POINT]["MASE"]
    assert round(hourly["value"], 3) == tasks["m4_hourly"]["published"]["figures"]["seasonal naive"] == 1.193
    assert hourly["low"] < hourly["value"] < hourly["high"]
    assert (tasks["m4_hourly"]["series"], tasks["exchange_rate"]["series"]) == (414, 8)
