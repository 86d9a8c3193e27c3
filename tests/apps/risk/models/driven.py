"""A panel whose target is driven by two of its columns, and networks without training, for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.panel import Panel
from apps.risk.models.forecasting_models import ForecastingModel
from apps.risk.models.forecasting_networks import ForecastingNet, description_of
from tests.apps.risk.data.panels import panel_of

COLUMNS = Columns(
    observed=("seen", "noise"), known=("due.sum",), statics=("kind",), static_numbers=("age",)
)  # a dot, which PyTorch takes in no name


def driven(entities: int = 6, days: int = 90) -> pd.DataFrame:
    """Draw target = 2 × due.sum + what was seen the day before + noise."""
    rng, parts = np.random.default_rng(0), []
    for number in range(entities):
        due, seen, noise = rng.normal(size=(3, days))
        parts.append(
            pd.DataFrame(
                {
                    "entity": f"e{number}",
                    "time": pd.date_range("2024-01-01", periods=days).strftime("%Y-%m-%d"),
                    "target": 2 * due + np.append(0.0, seen[:-1]) + 0.3 * rng.normal(size=days),
                    "seen": seen,
                    "noise": noise,
                    "due.sum": due,
                    "kind": "xy"[number % 2],
                    "age": float(number),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def driven_panel(table: pd.DataFrame | None = None, as_of: str = "2024-03-20") -> Panel:
    return panel_of(driven() if table is None else table, COLUMNS, as_of)


def untrained(name: str, panel: Panel, context: int = 24, horizon: int = 3) -> ForecastingModel:
    torch.manual_seed(1)
    net = ForecastingNet(description_of(name, panel, "target", context, horizon))
    net.learn_scales(panel)
    return ForecastingModel(net)
