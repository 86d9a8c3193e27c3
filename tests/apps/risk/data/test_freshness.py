"""Too old: by each series' own steps, with weekends and holidays tolerated; single series, and the whole table."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from apps.risk.config import DataConfig
from apps.risk.data.load import Loaded, load_panel
from core.errors import InputError


def load(
    folder: Any, series: dict[str, pd.DatetimeIndex], as_of: str | None = None, **options: Any
) -> Loaded:
    """Load series of any values at these times, as stage=score does."""
    rows = [(name, time, number % 7) for name, times in series.items() for number, time in enumerate(times)]
    pd.DataFrame(rows, columns=["entity", "time", "target"]).to_csv(folder / "t.csv", index=False)
    return load_panel(DataConfig(sample=None, path=str(folder / "t.csv"), **options), as_of, fresh=True)


WORKDAYS = pd.bdate_range("2023-01-02", "2024-03-29")  # ends on a Friday
HOURS = pd.date_range("2024-03-01", "2024-03-29", freq="h")
MONTHS = pd.date_range("2020-01-31", "2024-02-29", freq="ME")
SPARSE = pd.DatetimeIndex(["2024-03-01"])


@pytest.mark.parametrize(
    ("times", "fresh", "old"),
    [
        (WORKDAYS, "2024-04-03", "2024-04-04"),  # twice a weekend, six days
        (pd.date_range("2023-01-01", "2024-03-29"), "2024-04-02", "2024-04-03"),  # five days
        (WORKDAYS.delete([100, 101, 200, 201]), "2024-04-07", "2024-04-08"),  # closed twice for 5 days
        (WORKDAYS.delete(range(100, 200)), "2024-04-03", "2024-04-04"),  # one hole is no rule
        (HOURS, "2024-03-29T05:00", "2024-03-29T05:01"),
        (MONTHS, "2024-07-31", "2024-08-05"),
    ],
)
def test_a_few_of_its_own_steps_are_allowed(
    times: pd.DatetimeIndex, fresh: str, old: str, tmp_path: Any
) -> None:
    assert load(tmp_path, {"a": times}, fresh).panel.entities == ("a",)
    with pytest.raises(
        InputError, match=f"as of {old}(:00)? no series is up to date: of the newest one"
    ) as caught:
        load(tmp_path, {"a": times}, old)
    assert caught.value.code == "data_too_old"


def test_each_series_goes_by_its_own_steps(tmp_path: Any) -> None:
    series = {"day": WORKDAYS, "ended": WORKDAYS[:150], "month": MONTHS, "single": SPARSE}
    loaded = load(tmp_path, series)
    assert set(loaded.panel.entities) == {"day", "month"}
    assert loaded.refused["ended"] == (
        "too_old",
        "its last value of target, of 2023-07-28, is 246 days old, and at most 6 days are allowed (data.max_age)",
    )
    assert loaded.refused["single"][0] == "too_short"


def test_the_newest_value_counts_not_the_newest_row(tmp_path: Any) -> None:
    table = pd.DataFrame({"entity": "a", "time": WORKDAYS, "target": range(len(WORKDAYS))})
    other = table.assign(entity="b", target=table["target"].where(table.index < 100))
    pd.concat([table, other]).to_csv(tmp_path / "t.csv", index=False)
    loaded = load_panel(DataConfig(sample=None, path=str(tmp_path / "t.csv")), fresh=True)
    assert {name: code for name, (code, _) in loaded.refused.items()} == {"b": "too_old"}


@pytest.mark.parametrize(
    ("max_age", "fresh"),
    [
        ("off", True),
        ("200 d", True),
        ("199 d", False),
        ("198 steps", False),
        ("300 steps", True),
        (None, False),
    ],
)
def test_the_option_replaces_the_rule(max_age: str | None, fresh: bool, tmp_path: Any) -> None:
    as_of = (WORKDAYS[-1] + pd.Timedelta(days=199)).strftime("%Y-%m-%d")
    if fresh:
        assert load(tmp_path, {"a": WORKDAYS}, as_of, max_age=max_age).panel.entities == ("a",)
    else:
        with pytest.raises(InputError, match="no series is up to date"):
            load(tmp_path, {"a": WORKDAYS}, as_of, max_age=max_age)


def test_a_cross_section_may_be_a_year_old(tmp_path: Any) -> None:
    clients = dict.fromkeys("abc", SPARSE)
    assert {code for code, _ in load(tmp_path, clients, "2025-02-28").refused.values()} == {"too_short"}
    with pytest.raises(InputError, match="at most 366 days are allowed"):
        load(tmp_path, clients, "2025-03-03")


def test_an_evaluation_takes_history_as_it_is(tmp_path: Any) -> None:
    load(tmp_path, {"a": WORKDAYS, "b": WORKDAYS[:100]})
    loaded = load_panel(DataConfig(sample=None, path=str(tmp_path / "t.csv")), "2030-01-01")
    assert loaded.panel.entities == ("a", "b")
