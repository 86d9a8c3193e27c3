"""The view of a date: which rows exist, which version counts, and what rows ahead may tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.asof import hidden_ahead, last_in_step, split_rows, trim, view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from core.errors import InputError

PLAIN = Columns(observed=("seen",))
AHEAD = Columns(observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",))
REVISED = Columns(
    observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",), known_at="at"
)


def table(columns: Columns, *rows: tuple[Any, ...]) -> pd.DataFrame:
    """Accepted rows of (entity, time, target, at); the other columns follow from the target."""
    frame = pd.DataFrame(
        [(e, f"2024-{t}", y, at and f"2024-{at}") for e, t, y, at in rows],
        columns=["entity", "time", "target", "at"],
    )
    frame = frame.assign(seen=frame["target"], due=frame["target"], age=frame["target"])
    frame["kind"] = frame["target"].map(lambda y: f"k{y}", na_action="ignore")
    return check(frame, columns).accepted


def seen(frame: pd.DataFrame, columns: Columns, as_of: str | None) -> list[tuple[str, str, float]]:
    """Return (entity, time, target) of the view."""
    out = view(frame, columns, None if as_of is None else parse_as_of(f"2024-{as_of}").wall)
    return list(zip(out["entity"], out["time"].dt.strftime("%m-%d"), out["target"], strict=True))


def test_rows_later_than_the_date_do_not_exist() -> None:
    frame = table(PLAIN, ("a", "01-01", 1.0, None), ("a", "01-02", 2.0, None), ("b", "01-03", 3.0, None))
    assert seen(frame, PLAIN, "01-02") == [("a", "01-01", 1.0), ("a", "01-02", 2.0)]
    assert len(seen(frame, PLAIN, None)) == 3
    early = view(frame, PLAIN, parse_as_of("2024-01-02").wall)
    assert early["entity"].cat.categories.tolist() == ["a"]  # b is not even a name yet
    assert early.index.tolist() == [0, 1]


def test_the_last_version_known_counts() -> None:
    frame = table(
        REVISED,
        ("a", "01-01", 1.0, "01-05"),
        ("a", "01-01", 1.5, "01-10"),
        ("a", "01-01", 1.7, "01-20"),
        ("a", "01-02", 2.0, None),
    )
    assert seen(frame, REVISED, "01-04") == [("a", "01-02", 2.0)]
    assert seen(frame, REVISED, "01-05") == [("a", "01-01", 1.0), ("a", "01-02", 2.0)]
    assert seen(frame, REVISED, "01-19") == [("a", "01-01", 1.5), ("a", "01-02", 2.0)]
    assert seen(frame, REVISED, None) == [("a", "01-01", 1.7), ("a", "01-02", 2.0)]
    assert "at" not in view(frame, REVISED).columns


def test_without_known_at_rows_ahead_show_what_is_known_in_advance_only() -> None:
    frame = table(AHEAD, ("a", "01-01", 1.0, None), ("a", "01-02", 2.0, None), ("b", "01-02", 3.0, None))
    out = view(frame, AHEAD, parse_as_of("2024-01-01").wall)
    assert out["due"].tolist() == [1.0, 2.0]  # b has no past: that it will exist is news
    assert out[["target", "seen", "age", "kind"]].isna().all(axis=1).tolist() == [False, True]
    assert out["kind"].cat.categories.tolist() == ["k1.0"]


def test_with_known_at_rows_ahead_show_what_was_known() -> None:
    frame = table(
        REVISED, ("a", "01-01", 1.0, None), ("a", "01-05", 2.0, "01-01"), ("b", "01-05", 3.0, "01-02")
    )
    out = view(frame, REVISED, parse_as_of("2024-01-02").wall)
    assert out["entity"].tolist() == ["a", "a", "b"]
    assert out["due"].tolist() == [1.0, 2.0, 3.0]
    assert out["kind"].tolist() == ["k1.0", "k2.0", "k3.0"]
    assert out["target"].isna().tolist() == [False, True, True]


def test_rows_ahead_are_left_out_where_nothing_is_known_in_advance() -> None:
    columns = Columns(known_at="at")
    frame = table(columns, ("a", "01-01", 1.0, None), ("a", "01-05", 2.0, "01-01"))
    assert seen(frame, columns, "01-02") == [("a", "01-01", 1.0)]


@pytest.mark.parametrize(("columns", "day"), [(PLAIN, "01-01"), (REVISED, "01-03")])
def test_a_date_before_all_data_stops(columns: Columns, day: str) -> None:
    frame = table(columns, ("a", "01-01", 1.0, "01-03"), ("a", "01-02", 1.0, "01-04"))
    with pytest.raises(InputError) as caught:
        view(frame, columns, parse_as_of("2023-12-31T12:30").wall)
    assert caught.value.code == "as_of_before_data"
    assert caught.value.sentence == (
        f"nothing was known as of 2023-12-31 12:30:00: the first row became known on 2024-{day}; choose a later as_of"
    )


def test_rows_are_split_into_past_ahead_and_not_yet() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "NaT", "2024-01-03"], dtype="datetime64[us]")
    code = np.array([1, 0, 1, 1, 2])
    date = np.datetime64("2024-01-02", "us")
    past_R, ahead_R = split_rows(code, days, None, PLAIN, date)
    assert past_R.tolist() == [True, True, False, False, False]
    assert not ahead_R.any()
    assert split_rows(code, days, None, AHEAD, date)[1].tolist() == [False, False, True, False, False]
    assert not split_rows(np.full(5, -1), days, None, AHEAD, date)[1].any()
    known = np.array(["2024-01-03", "NaT", "2024-01-02", "2024-01-01", "2024-01-01"], dtype="datetime64[us]")
    past_R, ahead_R = split_rows(code, days, known, REVISED, date)
    assert past_R.tolist() == [False, True, False, False, False]
    assert ahead_R.tolist() == [False, False, True, False, True]


def test_statics_are_hidden_where_nobody_says_since_when_they_hold() -> None:
    assert hidden_ahead(AHEAD) == ("target", "seen", "kind", "age")
    assert hidden_ahead(REVISED) == ("target", "seen")


def test_categories_that_no_row_has_are_forgotten() -> None:
    values = pd.Categorical(["c", None, "a", "c"], categories=["a", "b", "c", "d"])
    trimmed = trim(values)
    assert trimmed.categories.tolist() == ["a", "c"]
    assert trimmed.tolist() == ["c", np.nan, "a", "c"]
    assert trim(trimmed) is trimmed
    assert trim(pd.Categorical([None], categories=["a"])).categories.tolist() == []


WORKDAYS = pd.bdate_range("2010-01-01", "2024-05-01").to_numpy()
YEARS = pd.date_range("2000-12-31", "2019-12-31", freq="YE").to_numpy()


@pytest.mark.parametrize(
    ("slips", "last"),
    [
        ([], "2024-05-01"),
        (["2204-05-02"], "2024-05-01"),
        (["2025-05-02"], "2024-05-01"),
        (["2042-05-02", "2204-05-02"], "2024-05-01"),
        (["2024-05-20"], "2024-05-20"),  # a holiday of three weeks
        (list(pd.bdate_range("2025-01-01", periods=60)), "2025-03-25"),  # it goes on after a closure
    ],
)
def test_a_time_out_of_all_proportion_is_not_the_last_one(slips: list[str], last: str) -> None:
    time = np.concatenate([WORKDAYS, np.array(slips, dtype="datetime64[us]")])
    result = last_in_step(np.random.default_rng(0).permutation(np.tile(time, 2)))
    assert result == np.datetime64(last)


def test_a_placeholder_of_long_ago_hides_no_slip() -> None:
    time = np.concatenate(
        [np.array(["1900-01-01"], "datetime64[us]"), WORKDAYS, [np.datetime64("2204-05-02")]]
    )
    assert last_in_step(time) == np.datetime64("2024-05-01")


@pytest.mark.parametrize("count", range(1, 8))
def test_few_times_are_taken_as_they_are_but_for_a_leap_after_three(count: int) -> None:
    assert last_in_step(YEARS[:count]) == YEARS[count - 1]
    leap = np.append(YEARS[:count], np.datetime64("2204-12-31"))
    assert last_in_step(leap) == (np.datetime64("2204-12-31") if count < 3 else YEARS[count - 1])
