"""Pictures of risk: what must be in them is in them, and the same input gives the same bytes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from apps.risk.metrics.credit import calibration_table
from apps.risk.report.charts import draw_calibration, draw_fan, draw_intervals, draw_var
from core.reports.plots import figure, to_svg

NAN = np.nan
DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]").astype("datetime64[us]")
LEVELS = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])


def words(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def fan(made: Figure) -> Axes:
    value_T = np.sin(np.arange(50.0))
    value_T[[10, 49]] = NAN
    quantile_HQ = np.arange(1, 11)[:, None] * (LEVELS - 0.5)
    draw_fan(made, DAYS[:50], value_T, DAYS[50:60], quantile_HQ, LEVELS, "A series", "return, %")
    return made.axes[0]


def test_a_fan_begins_at_the_last_known_value_and_has_three_bands() -> None:
    with figure(5, 3) as made:
        axes = fan(made)
        assert words(axes) == ["known", "98 %", "90 %", "50 %", "median"]
        median = np.asarray(axes.lines[1].get_ydata())
        np.testing.assert_allclose(median, [np.sin(48.0), *np.zeros(10)])
        assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("A series", "return, %")
        assert len(axes.collections) == 3


def test_levels_that_are_not_there_have_no_band_and_nothing_known_no_start() -> None:
    with figure(5, 3) as made:
        draw_fan(made, DAYS[:2], np.full(2, NAN), DAYS[2:4], np.zeros((2, 2)), np.array([0.05, 0.95]), "", "")
        assert words(made.axes[0]) == ["known", "90 %"]


def test_a_day_below_its_var_is_an_exceedance_and_a_day_without_return_is_none() -> None:
    return_D = np.zeros(50)
    return_D[[5, 20]] = -3.0
    return_D[30] = NAN
    with figure(7, 3) as made:
        draw_var(made, DAYS[:50], return_D, np.full(50, -2.0), 0.05, "VaR", "return, %")
        axes = made.axes[0]
        assert words(axes) == ["return", "VaR 5 %", "exceedances: 2, 2.5 expected"]
        assert [len(np.asarray(line.get_ydata())) for line in axes.lines] == [47, 50, 2]


def test_calibration_shows_percent() -> None:
    pd_N = np.repeat([0.1, 0.5], 10)
    default_N = np.array([1.0] * 2 + [0.0] * 8 + [1.0] * 4 + [0.0] * 6)
    with figure(4, 4) as made:
        draw_calibration(made, calibration_table(pd_N, default_N, bins=2), "Calibration")
        axes = made.axes[0]
        np.testing.assert_allclose(np.asarray(axes.lines[1].get_xydata()), [[10.0, 20.0], [50.0, 40.0]])


def test_the_first_model_stands_on_top_and_the_least_loss_is_marked() -> None:
    with figure(5, 2) as made:
        draw_intervals(made, ["gjr_garch", "b"], [(2.0, 1.0, 3.0), (1.5, 1.0, 2.0)], "Loss")
        axes = made.axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["gjr garch", "b"]
        assert axes.get_yticks().tolist() == [1, 0]
        colours = [line.get_color() for line in axes.lines[::2]]
        assert colours[0] != colours[1]


def test_the_same_picture_is_the_same_bytes() -> None:
    pictures = []
    for _ in range(2):
        with figure(5, 3) as made:
            fan(made)
            pictures.append(to_svg(made, "a fan"))
    assert pictures[0] == pictures[1]
