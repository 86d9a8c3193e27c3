"""Pictures of risk: a fan of quantiles, VaR with its exceedances, calibration of a PD, losses with intervals.

Each draws into an empty figure in the common style (core.reports.plots).
Legend: T past steps, H steps ahead, Q levels, D days, K bins, M models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from apps.risk.metrics.credit import CalibrationTable
from core.reports.plots import ACCENT, SECOND, SOFT

_BANDS = ((0.01, 0.99, 0.16), (0.05, 0.95, 0.24), (0.25, 0.75, 0.40))  # levels and strength, the widest first


def draw_fan(
    made: Figure,
    time_T: np.ndarray,
    value_T: np.ndarray,
    ahead_H: np.ndarray,
    quantile_HQ: np.ndarray,
    level_Q: np.ndarray,
    title: str,
    unit: str,
) -> None:
    """Draw what is known, then the 98 %, 90 % and 50 % bands and the median of each step ahead.

    time_T, ahead_H: datetime64. A gap in value_T (NaN) is a gap in the line. A band whose levels are not among
    level_Q is left out. The fan begins at the last known value.
    """
    axes = _dated(made, most=5)
    axes.plot(time_T, value_T, color=SOFT, linewidth=1.1, label="known")
    known_T = np.flatnonzero(~np.isnan(value_T))
    start = known_T[-1:]  # empty where nothing is known
    index = {round(float(level), 6): q for q, level in enumerate(level_Q)}

    def line(level: float) -> np.ndarray:
        return np.append(value_T[start], quantile_HQ[:, index[level]])

    time_H1 = np.append(time_T[start], ahead_H)
    for low, high, alpha in _BANDS:
        if low in index and high in index:
            label = f"{round(100 * (high - low))} %"
            axes.fill_between(
                time_H1, line(low), line(high), color=ACCENT, alpha=alpha, linewidth=0, label=label
            )
    if 0.5 in index:
        axes.plot(time_H1, line(0.5), color=ACCENT, linewidth=1.8, label="median")
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.legend(loc="upper left", ncols=5, fontsize=8, handlelength=0.9, columnspacing=0.8, handletextpad=0.4)
    axes.margins(x=0.01, y=0.18)


def draw_var(
    made: Figure,
    time_D: np.ndarray,
    return_D: np.ndarray,
    var_D: np.ndarray,
    level: float,
    title: str,
    unit: str,
) -> None:
    """Draw each day's return, the VaR that was forecast for it, and the days on which it fell below."""
    axes = _dated(made)
    known_D = ~np.isnan(return_D)
    below_D = known_D & (return_D < var_D)
    axes.plot(
        time_D[known_D & ~below_D],
        return_D[known_D & ~below_D],
        ".",
        color=SOFT,
        markersize=3.0,
        alpha=0.7,
        label="return",
    )
    axes.plot(time_D, var_D, color=ACCENT, linewidth=1.3, label=f"VaR {100 * level:g} %")
    expected = level * known_D.sum()
    axes.plot(
        time_D[below_D],
        return_D[below_D],
        "o",
        color=SECOND,
        markersize=5.0,
        label=f"exceedances: {below_D.sum()}, {expected:.1f} expected",
    )
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.legend(loc="upper left", ncols=3, fontsize=8.5)
    axes.margins(x=0.01, y=0.16)


def draw_calibration(made: Figure, table: CalibrationTable, title: str) -> None:
    """Draw the default rate seen beside the PD predicted, in bins of equal mass, with 95 % intervals, in percent."""
    axes = made.add_subplot()
    pd_K, seen_K = 100.0 * table.mean_pd_K, 100.0 * table.default_rate_K
    bar_2K = 100.0 * np.abs(table.interval_2K - table.default_rate_K)
    top = 1.08 * max(float(pd_K.max()), float((100.0 * table.interval_2K[1]).max()))
    axes.plot([0.0, top], [0.0, top], color=SOFT, linewidth=1.0, linestyle="--", label="perfect")
    axes.errorbar(
        pd_K, seen_K, yerr=bar_2K, fmt="o", color=ACCENT, markersize=5.0, linewidth=1.2, label="seen, 95 %"
    )
    axes.set_xlim(-0.02 * top, top)
    axes.set_ylim(-0.02 * top, top)
    axes.set_xlabel("predicted, %")
    axes.set_ylabel("seen, %")
    axes.set_title(title)
    axes.legend(loc="upper left", fontsize=8.5)


def draw_intervals(
    made: Figure, names: Sequence[str], interval_M3: Sequence[tuple[float, float, float]], title: str
) -> None:
    """Draw value, lower and upper bound of each model as a dot on a bar, the first model on top, the least marked."""
    axes = made.add_subplot()
    value_M, low_M, high_M = np.array(interval_M3, dtype=np.float64).T
    height_M = np.arange(len(names))[::-1]
    for height, value, low, high in zip(height_M, value_M, low_M, high_M, strict=True):
        colour = ACCENT if value == np.nanmin(value_M) else SOFT
        axes.plot([low, high], [height, height], color=colour, linewidth=2.0)
        axes.plot([value], [height], "o", color=colour, markersize=6.0)
    axes.set_yticks(height_M, [name.replace("_", " ") for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=False, axis="y")
    axes.set_title(title)


def _dated(made: Figure, most: int = 8) -> Axes:
    axes = made.add_subplot()
    locator = AutoDateLocator(minticks=3, maxticks=most)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return axes
