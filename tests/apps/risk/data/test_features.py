"""Features are the windows' own values, counted by hand; nothing known is NaN; names lead back to columns."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.features import Features, column_of, features_of, pick, telling
from apps.risk.data.windows import Windows
from tests.apps.risk.data.panels import COLUMNS, frame, panel_of, ragged

NAN = np.nan


def of_ragged(as_of: str = "2024-01-04", context: int = 3) -> tuple[Features, tuple[str, ...]]:
    panel = panel_of(ragged(), as_of=as_of)
    return features_of(Windows(panel, context, 2).latest(), panel.columns), panel.entities


def value(features: Features, name: str, window: int) -> float:
    return float(pick(features, (name,))[window, 0])


def test_values_of_one_window() -> None:
    features, entities = of_ragged()
    assert entities == ("a", "b", "d")
    # a as of day 4, three days back: target 2, missing, 4; seen 20, 30, missing
    metadata = {
        name: value(features, name, 0)
        for name in features.names
        if name.startswith(("target", "seen", "age"))
    }
    assert metadata == pytest.approx(
        {
            "target[-1]": 4.0,
            "target[-2]": NAN,
            "target[-3]": 2.0,
            "target.mean": 3.0,
            "target.max": 4.0,
            "target.trend": 1.0,  # from 2 to 4 in two steps
            "seen[-1]": NAN,
            "seen[-2]": 30.0,
            "seen[-3]": 20.0,
            "seen.mean": 25.0,
            "seen.max": 30.0,
            "seen.trend": 10.0,
            "target[-1]/age": 4.0 / 31.0,
            "target.mean/age": 3.0 / 31.0,
            "seen[-1]/age": NAN,
            "seen.mean/age": 25.0 / 31.0,
            "age": 31.0,
        },
        nan_ok=True,
    )
    assert value(features, "rows", 0) == 3.0
    assert value(features, "kind", 0) == 2.0  # y, the second word
    # b: one row; the next one is due 0.5
    assert value(features, "due[+1]", 1) == pytest.approx(0.5)
    assert np.isnan(value(features, "target.trend", 1))
    assert value(features, "rows", 1) == 1.0
    # nothing is known of d
    assert np.isnan(features.x_BW[2]).sum() == features.x_BW.shape[1] - 1


def test_a_trend_is_that_of_least_squares() -> None:
    generator = np.random.default_rng(0)
    series = generator.normal(size=6)
    panel = panel_of(frame(*(("a", day + 1, x, None, None, None, None) for day, x in enumerate(series))))
    features = features_of(Windows(panel, 6, 1).latest(), panel.columns)
    slope = np.polyfit(np.arange(6), panel.value_RF[:, 0].astype(np.float64), 1)[0]
    assert value(features, "target.trend", 0) == pytest.approx(slope, abs=1e-9)


def test_lags_end_where_asked() -> None:
    panel = panel_of(ragged())
    features = features_of(Windows(panel, 5, 1).latest(), panel.columns, lags=2)
    assert [name for name in features.names if name.startswith("target[")] == [
        "target[-1]",
        "target[-2]",
        "target[-1]/age",
    ]


def test_a_ratio_needs_a_size_above_zero() -> None:
    rows = [(name, 1, 6.0, 1.0, 1.0, "x", age) for name, age in (("a", 2), ("b", 0), ("c", -1), ("d", None))]
    panel = panel_of(frame(*rows))
    features = features_of(Windows(panel, 1, 1).latest(), panel.columns)
    assert pick(features, ("target[-1]/age",))[:, 0].tolist() == pytest.approx(
        [3.0, NAN, NAN, NAN], nan_ok=True
    )


def test_an_unseen_category_is_not_known() -> None:
    panel = panel_of(frame(("a", 1, 1.0, 1.0, 1.0, "new", 1)), categories={"kind": ("x", "y")})
    features = features_of(Windows(panel, 2, 1).latest(), panel.columns)
    assert np.isnan(value(features, "kind", 0))


def test_what_differs_tells_something() -> None:
    x = np.array([[1.0, 5.0, NAN, 2.0, NAN], [1.0, 6.0, NAN, NAN, NAN]])
    features = Features(("same", "differs", "never", "now and then", "nor this"), x)
    assert telling(features) == ("differs", "now and then")
    assert telling(Features(("a",), np.zeros((0, 1)))) == ()


def test_picking_keeps_the_order_asked_for() -> None:
    features = Features(("a", "b", "c"), np.array([[1.0, 2.0, 3.0]]))
    assert pick(features, ("c", "a")).tolist() == [[3.0, 1.0]]
    with pytest.raises(KeyError, match="d"):
        pick(features, ("a", "d"))


@pytest.mark.parametrize(
    ("feature", "column"),
    [
        ("seen[-1]", "seen"),
        ("due[+12]", "due"),
        ("seen.trend", "seen"),
        ("seen.mean/age", "seen"),
        ("seen.x.max", "seen.x"),
        ("seen.x", "seen.x"),
        ("age", "age"),
        ("rows", "rows"),
    ],
)
def test_a_feature_comes_from_a_column(feature: str, column: str) -> None:
    columns = Columns(observed=("seen", "seen.x"), known=("due",), static_numbers=("age",))
    assert column_of(feature, columns) == column


def test_every_feature_of_a_panel_leads_to_a_column_of_it() -> None:
    features, _ = of_ragged()
    known = {*COLUMNS.features, *COLUMNS.statics, *COLUMNS.static_numbers, "rows"}
    assert {column_of(name, COLUMNS) for name in features.names} == known
