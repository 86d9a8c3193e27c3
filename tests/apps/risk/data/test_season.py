"""The season of a calendar, by its pattern alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.season import season_of


@pytest.mark.parametrize(
    ("frequency", "season"),
    [
        ("h", 24),
        ("30min", 48),
        ("D", 7),
        ("B", 5),
        ("W", 52),
        ("ME", 12),
        ("QS", 4),
        ("YE", 1),
        ("7h", 1),
        ("3D", 1),
    ],
)
def test_a_season_is_a_day_a_week_or_a_year(frequency: str, season: int) -> None:
    times = pd.date_range("2020-01-01", periods=60, freq=frequency).to_numpy().astype("datetime64[us]")
    assert season_of(times) == season


def test_two_times_have_no_season() -> None:
    assert season_of(np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[us]")) == 1


def test_holidays_change_nothing() -> None:
    times = pd.bdate_range("2020-01-01", periods=300).to_numpy().astype("datetime64[us]")
    assert season_of(np.delete(times, [7, 40, 41, 100])) == 5
