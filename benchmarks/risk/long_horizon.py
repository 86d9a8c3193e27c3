"""Long horizons beside published figures: M4-Hourly (48 hours, MASE) and exchange rates (30 days, WQL).

Reported, no gate. Both protocols are those of the published tables: their seasonal naive, the row point_naive here,
is met to all the digits that they print. Legend: N series, H steps ahead, Q levels, M figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.risk.config import DataConfig
from apps.risk.data.history import history_NT
from apps.risk.data.load import load_panel
from apps.risk.data.panel import Panel, take
from apps.risk.data.samples import load_sample
from apps.risk.metrics.forecast import (
    mase,
    mase_by_series,
    seasonal_naive_scale,
    weighted_quantile_loss,
)
from apps.risk.models.interface import TargetModel
from apps.risk.models.risk_model import RiskModel
from apps.risk.models.seasonal_naive import seasonal_naive
from core.errors import InputError
from core.statistics.bootstrap import SAMPLES, bootstrap

LEVELS = np.arange(1, 10) / 10
POINT = "point_naive"
MODELS = (POINT, "seasonal_naive", "riskformer")
PATHS = 1000


@dataclass(frozen=True)
class Task:
    """A published comparison. as_of: None is the sample's own date. published: model → figure."""

    sample: str
    horizon: int
    season: int
    metric: str
    source: str
    published: Mapping[str, float]


TASKS = (
    Task(
        sample="m4_hourly",
        horizon=48,
        season=24,
        metric="MASE",
        source="GIFT-Eval, m4_hourly/H/short, MASE of the median (Aksu et al. 2024, arXiv:2410.10393; its table of "
        "results); seasonal naive as in Makridakis et al. 2020, doi:10.1016/j.ijforecast.2019.04.014, too",
        published={
            "Toto": 0.653,
            "TimesFM-2.5": 0.734,
            "Chronos-2": 0.788,
            "AutoARIMA": 1.03,
            "seasonal naive": 1.193,
            "PatchTST": 1.40,
            "TFT": 2.47,
        },
    ),
    Task(
        sample="exchange_rate",
        horizon=30,
        season=5,
        metric="WQL",
        source="Chronos, benchmark II (Ansari et al. 2024, arXiv:2403.07815; github.com/amazon-science/"
        "chronos-forecasting, scripts/evaluation): last 30 of 7,588 days, one window, levels .1 to .9; its seasonal "
        "naive is a point, taken for all quantiles",
        published={
            "AutoETS": 0.01049,
            "AutoARIMA": 0.01067,
            "Chronos-Bolt": 0.0120,
            "seasonal naive": 0.0130,
            "TimesFM-2.0": 0.0152,
        },
    ),
)
ALL = ",".join(task.sample for task in TASKS)
PROTOCOL = (
    "One window at the end of each series, forecast once from all that came before it. MASE: of the median, scaled by "
    "the mean absolute change over one season (24 hours, 5 days) in the history, mean over series. WQL: twice the "
    "pinball loss at the levels .1 … .9 over the sum of absolute outcomes, mean over levels. point_naive: the last "
    "season, as all quantiles. Intervals: 95 %, percentiles over {samples} resamples of whole series, the same for "
    "all models; they tell of other series like these, not of other windows, and the 8 currencies are few."
)


@dataclass(frozen=True, eq=False)
class Window:
    """What is forecast. actual_NH: what came; scale_N: of MASE; panel: the past alone, entities in the same order."""

    panel: Panel
    label: str
    actual_NH: np.ndarray
    scale_N: np.ndarray


def run(
    weights: str = "",
    models: str = ",".join(MODELS),
    series: str = "0",
    samples: str = str(SAMPLES),
    tasks: str = ALL,
) -> dict[str, Any]:
    """Return the record: for each task every model's figures with intervals, beside the published ones.

    weights: folder of a trained model, the embedded one if empty. series: only so many of each sample, 0 for all.
    Raises InputError for a model or task that is not there.
    """
    names, wanted = models.split(","), tasks.split(",")
    known = {task.sample: task for task in TASKS}
    for sample in wanted:
        if sample not in known:
            raise InputError("task", f"{sample!r} is no task; there are {', '.join(known)}")
    measured = {
        sample: measure(known[sample], names, Path(weights) if weights else None, int(series), int(samples))
        for sample in wanted
    }
    return {
        "headline": {
            f"{sample} {figures['metric']}, {name}": f"{figures['models'][name][figures['metric']]['value']:.4f}"
            for sample, figures in measured.items()
            for name in names
        },
        "protocol": PROTOCOL.format(samples=samples),
        "tasks": measured,
    }


def measure(
    task: Task, names: Sequence[str], weights: Path | None, series: int, samples: int
) -> dict[str, Any]:
    """Return a task's figures as plain JSON types."""
    window = load_window(task, series)
    quantiles = {name: _forecaster(name, task, weights)(window) for name in names}
    figures = {name: _figures(window, quantile_NHQ, samples) for name, quantile_NHQ in quantiles.items()}
    return {
        "series": len(window.actual_NH),
        "horizon": task.horizon,
        "metric": task.metric,
        "models": figures,
        "published": {"source": task.source, "figures": dict(task.published)},
    }


def load_window(task: Task, series: int = 0) -> Window:
    """Return the last `horizon` steps of a sample, and the panel as it was known before them."""
    sample = load_sample(task.sample)
    columns, label = sample.columns, sample.columns.targets[0]
    wide = sample.table.pivot(index=columns.entity, columns=columns.time, values=label)
    as_of = sample.as_of or str(wide.columns[-task.horizon - 1])
    panel = load_panel(DataConfig(sample=task.sample), as_of).panel
    if series:
        panel = take(panel, np.arange(len(panel.entities)) < series)
    wide = wide.loc[list(panel.entities)]
    past_NT = wide.loc[:, : np.datetime64(panel.calendar_T[-1])].to_numpy()
    return Window(
        panel=panel,
        label=label,
        actual_NH=wide.to_numpy()[:, -task.horizon :],
        scale_N=seasonal_naive_scale(past_NT, task.season),
    )


def _forecaster(name: str, task: Task, weights: Path | None) -> Callable[[Window], np.ndarray]:
    """Return what forecasts a window's quantiles, (N, H, Q)."""
    if name == POINT:
        return lambda window: _point(window, task)
    model = RiskModel.from_pretrained(weights, targets=name).targets
    if model is None or model.name != name:
        raise InputError("model", f"there is no model {name!r} of targets")
    return lambda window: _quantiles(model, window, task)


def _point(window: Window, task: Task) -> np.ndarray:
    past_NT = history_NT(window.panel, window.label, 10 * task.season)
    point_NH = seasonal_naive(past_NT, task.horizon, task.season).point_NH
    return np.repeat(point_NH[..., None], len(LEVELS), axis=2)


def _quantiles(model: TargetModel, window: Window, task: Task) -> np.ndarray:
    forecast = model.forecast(window.panel, window.label, task.horizon, PATHS, seed=0)
    return forecast.quantile_NHQ(LEVELS)


def _figures(window: Window, quantile_NHQ: np.ndarray, samples: int) -> dict[str, Any]:
    """Return MASE and WQL with intervals over series."""
    actual_NH, scale_N = window.actual_NH, window.scale_N
    median_NH = quantile_NHQ[..., len(LEVELS) // 2]

    def both(weight_N: np.ndarray) -> np.ndarray:
        return np.array(
            [
                mase(actual_NH, median_NH, scale_N, weight_N=weight_N),
                weighted_quantile_loss(actual_NH, quantile_NHQ, LEVELS, weight_N=weight_N),
            ]
        )

    value_M = both(np.ones(len(actual_NH)))
    low_M, high_M = bootstrap(both, len(actual_NH), samples)
    worst = np.nanmax(mase_by_series(actual_NH, median_NH, scale_N))
    intervals: dict[str, Any] = {
        name: {"value": float(value_M[m]), "low": float(low_M[m]), "high": float(high_M[m])}
        for m, name in enumerate(("MASE", "WQL"))
    }
    return intervals | {"worst series, MASE": float(worst)}
