"""stage=evaluate in process: chosen on development, the test apart from it, the same bytes twice; events by client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import BacktestConfig, DataConfig, ModelConfig, RiskConfig
from apps.risk.data.load import load_panel
from apps.risk.data.outcomes import event_origins
from apps.risk.data.panel import Panel
from apps.risk.evaluate import LEVELS, chosen, event_parts, events, horizon_figures, least_log_loss, run
from apps.risk.metrics.forecast import mase, weighted_quantile_loss
from apps.risk.models.baselines import BASELINES
from apps.risk.models.forecast import EventForecast
from apps.risk.models.risk_model import write_description
from apps.risk.models.scorecard import Reason
from core.errors import InputError
from core.runs.folder import Run

NAMES = ["filtered_historical_simulation", "historical_simulation"]  # the cheap ones


@dataclass(frozen=True)
class Bill:
    """The event is as likely as the last bill says; of a bill above 1 nothing is known."""

    factor: float = 1.0
    name: str = "bill"

    def forecast_event(self, panel: Panel) -> EventForecast:
        bill_R = panel.value_RF[:, panel.columns.features.index("bill")]
        pd_N = self.factor * bill_R[panel.offset_N1[:-1] + panel.past_N - 1].astype(np.float64)
        reason_N = np.where(pd_N > self.factor, "too_large", "")
        return EventForecast(np.where(pd_N > self.factor, np.nan, pd_N), tuple(reason_N.tolist()))

    def drivers(self, panel: Panel) -> tuple[tuple[Reason, ...], ...]:
        return ((),) * len(panel.entities)


def config(folder: Path, frame: pd.DataFrame, **roles: Any) -> RiskConfig:
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "table.csv", index=False)
    write_description(folder / "model", {"targets": {"champion": NAMES[0], "models": {}}, "event": None})
    return RiskConfig(
        stage="evaluate",
        output=str(folder / "out"),
        weights=str(folder / "model"),
        data=DataConfig(sample=None, path=str(folder / "table.csv"), entity="who", time="day", **roles),
        backtest=BacktestConfig(days=30),
        model=ModelConfig(horizon=2, paths=100),
    )


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(BASELINES) == 4
    monkeypatch.setattr("apps.risk.evaluate.BASELINES", {name: BASELINES[name] for name in NAMES})


def gains(seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    days = pd.bdate_range("2023-01-02", periods=110)
    return pd.concat(
        [
            pd.DataFrame({"who": name, "day": days, "gain": generator.standard_t(5, len(days))})
            for name in ("a", "b")
        ]
    )


def go(cfg: RiskConfig, folder: Path) -> tuple[int, dict[str, bytes]]:
    record = Run(folder / "run")
    with record.log:
        code = run(cfg, record)
    return code, {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def test_all_models_stand_side_by_side_and_the_same_call_writes_the_same_bytes(tmp_path: Path) -> None:
    cfg = config(tmp_path, gains(), targets="gain")
    code, files = go(cfg, tmp_path)
    assert code == 0
    assert list(files) == ["champion.json", "metrics.json", "report.html"]
    told = json.loads(files["metrics.json"])["labels"]["gain"]
    for part in ("development", "test"):
        assert sorted(told[part]) == NAMES
        for figures in told[part].values():
            value, low, high = figures["0.025"]["pinball"]
            assert low <= value <= high
            assert figures["horizon"]["wql"][0] > 0.0
            assert 0.4 <= figures["horizon"]["coverage_80"][0] <= 1.0
    champion = json.loads(files["champion.json"])["gain"]
    assert sorted(champion["mean_rank"]) == NAMES
    assert champion["mean_rank"][champion["champion"]] == min(champion["mean_rank"].values())
    assert f"gain: {champion['champion'].replace('_', ' ')} is the champion" in files["report.html"].decode()
    assert go(cfg, tmp_path) == (0, files)


def test_the_test_has_no_say_in_the_choice(tmp_path: Path) -> None:
    other = gains()
    last = other["day"].drop_duplicates().nlargest(30).min()
    other.loc[other["day"] >= last, "gain"] *= -3.0
    found = [
        go(config(tmp_path / name, table, targets="gain"), tmp_path / name)[1]
        for name, table in (("one", gains()), ("two", other))
    ]
    assert found[0]["champion.json"] == found[1]["champion.json"]
    told = [json.loads(files["metrics.json"])["labels"]["gain"] for files in found]
    assert told[0]["development"] == told[1]["development"]
    assert told[0]["test"] != told[1]["test"]


def test_figures_of_the_horizon_are_those_of_their_functions() -> None:
    generator = np.random.default_rng(0)
    actual_NH = generator.normal(size=(12, 5))
    quantile_NHQ = np.sort(generator.normal(size=(12, 5, len(LEVELS))), axis=2)
    scale_N, mask_NH = generator.uniform(0.5, 2.0, 12), generator.random((12, 5)) < 0.8
    scale_N[3] = np.nan
    owner_N = np.tile(np.arange(6), 2)
    found = horizon_figures(actual_NH, quantile_NHQ, scale_N, mask_NH, owner_N, seed=0)
    inside_NH = (quantile_NHQ[..., 0] <= actual_NH) & (actual_NH <= quantile_NHQ[..., 8])
    wanted = {
        "wql": weighted_quantile_loss(actual_NH, quantile_NHQ, LEVELS, mask_NH),
        "mase": mase(actual_NH, quantile_NHQ[..., 4], scale_N, mask_NH),
        "coverage_80": inside_NH[mask_NH].mean(),
    }
    for name, value in wanted.items():
        assert found[name][0] == pytest.approx(value, rel=1e-5)
        assert found[name][1] < value < found[name][2]


def figures(pinball: float, fz: float | None, wql: float) -> dict[str, Any]:
    level = {"pinball": [pinball, 0.0, 9.0], "fz": None if fz is None else [fz, 0.0, 9.0]}
    return {"0.01": level, "0.025": level, "horizon": {"wql": [wql, 0.0, 9.0]}}


def test_the_champion_has_the_least_mean_rank_or_of_prices_the_least_loss_over_the_horizon() -> None:
    returns = {"a": figures(1.0, 2.0, 9.0), "b": figures(2.0, 1.0, 5.0), "c": figures(1.5, 0.5, 7.0)}
    found = chosen(returns)
    # ranks: pinball 1 3 2, FZ 3 2 1
    assert found["mean_rank"] == {"a": 2.0, "b": 2.5, "c": 1.5}
    assert found["champion"] == "c"
    prices = {"a": figures(1.0, None, 9.0), "b": figures(2.0, None, 5.0)}
    assert chosen(prices)["champion"] == "b"
    assert chosen(prices)["rule"].startswith("least weighted quantile loss")
    with pytest.raises(InputError, match="no model has a forecast on any development date"):
        chosen(
            {
                "a": {
                    "0.01": {"pinball": None, "fz": None},
                    "0.025": {"pinball": None, "fz": None},
                    "horizon": {},
                }
            }
        )


def book(months: int = 6, clients: int = 200) -> pd.DataFrame:
    """Clients with a bill each month; in the next month one in `bill` loses and is gone."""
    generator = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    for client in range(clients):
        loses = False
        for month in pd.date_range("2024-01-31", periods=months, freq="ME"):
            bill = 2.0 if client == 7 else round(float(generator.uniform(0.01, 0.3)), 3)
            rows.append((f"{client:03d}", month, float(loses), bill))
            if loses:
                break
            loses = bool(generator.random() < bill)
    return pd.DataFrame(rows, columns=["who", "day", "lost", "bill"])


def test_an_event_is_judged_at_dates_whose_outcome_is_known(tmp_path: Path) -> None:
    cfg = config(tmp_path, book(), event="lost", observed="bill")
    loaded = load_panel(cfg.data)
    models = {"true": Bill(), "half": Bill(0.5)}
    parts, tables = events(cfg, loaded, models, 1)
    assert list(parts.development) == list(parts.test) == list(tables) == ["true", "half"]
    panel = loaded.everyone
    before, test = event_parts(panel, event_origins(panel, 1), 1)
    assert (set(before.step_B), set(test.step_B)) == ({3}, {4})
    told = parts.test["true"]
    assert told["clients"] == np.sum([panel.entities[entity] != "007" for entity in test.entity_B])
    assert told["auroc"] == parts.test["half"]["auroc"], "the same ranking"
    low, high = told["auroc"][1:]
    assert 0.5 < low < told["auroc"][0] < high
    champion = least_log_loss(parts.development)
    assert (champion["champion"], sorted(champion["log_loss"])) == ("true", ["half", "true"])


def test_of_one_date_clients_are_parted_by_their_names(tmp_path: Path) -> None:
    cfg = config(tmp_path, book(months=2), event="lost", observed="bill")
    panel = load_panel(cfg.data).everyone
    before, test = event_parts(panel, event_origins(panel, 1), 1)
    assert set(before.step_B) == set(test.step_B) == {0}
    assert not set(before.entity_B) & set(test.entity_B)
    assert len(before) + len(test) == 200
    assert 60 < len(test) < 140


def test_what_cannot_be_judged_ends_in_one_line(tmp_path: Path) -> None:
    cfg = config(tmp_path, book(months=2), event="lost", observed="bill")
    loaded = load_panel(cfg.data)
    with pytest.raises(InputError, match="the weights hold no model of an event"):
        events(cfg, loaded, {}, 1)
    with pytest.raises(InputError, match="no outcome within 9 steps is known as of 2024-02-29") as caught:
        events(cfg, loaded, {"true": Bill()}, 9)
    assert caught.value.code == "outcome_unknown"
    flat = book(months=2).assign(lost=0.0)
    with pytest.raises(InputError, match="all or none had the event"):
        events(
            cfg, load_panel(config(tmp_path, flat, event="lost", observed="bill").data), {"true": Bill()}, 1
        )
