"""An event is judged at dates whose outcome is known, by clients or by dates; what cannot be judged says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.config import DataConfig, RiskConfig
from apps.risk.data.load import load_panel
from apps.risk.data.outcomes import event_origins
from apps.risk.data.panel import Panel
from apps.risk.evaluation.event_evaluation import event_parts, events, least_log_loss
from apps.risk.models.forecast import EventForecast, Reason
from core.errors import InputError


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
    frame.to_csv(folder / "table.csv", index=False)
    own = {"event": "lost", "observed": "bill"} | roles
    data = DataConfig(sample=None, path=str(folder / "table.csv"), entity="who", time="day", **own)
    return RiskConfig(stage="evaluate", output=str(folder / "out"), data=data)


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
    cfg = config(tmp_path, book())
    loaded = load_panel(cfg.data)
    models = {"true": Bill(), "half": Bill(0.5)}
    parts, tables, stability = events(cfg, loaded, models, 1)
    assert list(parts.development) == list(parts.test) == list(tables) == ["true", "half"]
    panel = loaded.everyone
    before, test = event_parts(panel, event_origins(panel, 1), 1)
    assert (set(before.step_B), set(test.step_B)) == ({3}, {4})
    result = parts.test["true"]
    assert result["clients"] == np.sum([panel.entities[entity] != "007" for entity in test.entity_B])
    assert result["auroc"] == parts.test["half"]["auroc"], "the same ranking"
    low, high = result["auroc"][1:]
    assert 0.5 < low < result["auroc"][0] < high
    assert {"bill[-1]", "bill[-4]", "bill.mean"} <= set(stability)
    assert "bill[-5]" not in stability, "at the earlier date nobody has a fifth month"
    assert max(value or 0.0 for value in stability.values()) < 0.5, "of a hundred clients a fifth is chance"
    champion = least_log_loss(parts.development)
    assert (champion["champion"], sorted(champion["log_loss"])) == ("true", ["half", "true"])


def test_of_one_date_clients_are_parted_by_their_names(tmp_path: Path) -> None:
    cfg = config(tmp_path, book(months=2))
    panel = load_panel(cfg.data).everyone
    before, test = event_parts(panel, event_origins(panel, 1), 1)
    assert set(before.step_B) == set(test.step_B) == {0}
    assert not set(before.entity_B) & set(test.entity_B)
    assert len(before) + len(test) == 200
    assert 60 < len(test) < 140


def test_what_cannot_be_judged_ends_in_one_line(tmp_path: Path) -> None:
    cfg = config(tmp_path, book(months=2))
    loaded = load_panel(cfg.data)
    with pytest.raises(InputError, match="the weights hold no model of an event"):
        events(cfg, loaded, {}, 1)
    with pytest.raises(InputError, match="no outcome within 9 steps is known as of 2024-02-29") as caught:
        events(cfg, loaded, {"true": Bill()}, 9)
    assert caught.value.code == "outcome_unknown"
    flat = book(months=2).assign(lost=0.0)
    with pytest.raises(InputError, match="all or none had the event"):
        events(cfg, load_panel(config(tmp_path, flat).data), {"true": Bill()}, 1)
