"""A column as entities by steps: joint days in one column, up to the as-of date and no further."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.history import (
    first_date,
    histories_NT,
    history_NT,
    known_until,
    last_date,
    last_values,
    since_end,
    steps_known,
)
from apps.risk.data.panel import by_calendar, part
from core.errors import InputError
from tests.apps.risk import mixed_calendars as mixed
from tests.apps.risk.data.panels import COLUMNS, frame, panel_of, ragged

NAN = np.nan


def test_days_of_all_series_stand_in_one_column() -> None:
    panel = panel_of(ragged())
    wanted_NT = [
        [1.0, 2.0, NAN, 4.0, 5.0],
        [NAN, -1.0, NAN, NAN, -2.0],
        [NAN, NAN, NAN, NAN, 7.0],
        [NAN, NAN, NAN, NAN, NAN],
    ]
    np.testing.assert_array_equal(history_NT(panel, "target", 100), wanted_NT)
    np.testing.assert_array_equal(history_NT(panel, "target", 2), np.array(wanted_NT)[:, 3:])
    np.testing.assert_array_equal(history_NT(panel, "seen", 5)[0], [10.0, 20.0, 30.0, NAN, 50.0])


def test_what_lies_ahead_is_not_seen() -> None:
    panel = panel_of(ragged(), as_of="2024-01-03")
    assert steps_known(panel) == 3
    np.testing.assert_array_equal(
        history_NT(panel, "target", 9), [[1.0, 2.0, NAN], [NAN, -1.0, NAN], [NAN] * 3]
    )
    np.testing.assert_array_equal(history_NT(panel, "due", 9)[1], np.array([NAN, 0.2, NAN], dtype=np.float64))


def test_the_last_steps_end_at_the_as_of_date() -> None:
    panel = panel_of(ragged(), as_of="2024-01-03")  # the calendar has day 5 too
    assert str(first_date(panel, 2))[:10] == "2024-01-02"
    assert str(first_date(panel, 99))[:10] == "2024-01-01"
    assert str(last_date(panel))[:10] == "2024-01-03"


def test_an_earlier_as_of_date_hides_what_came_after() -> None:
    panel = known_until(panel_of(ragged()), 4)
    assert panel.past_N.tolist() == [4, 1, 0, 2]
    np.testing.assert_array_equal(history_NT(panel, "target", 9)[:, -1], [4.0, NAN, NAN, NAN])
    with pytest.raises(InputError, match="no series has a row up to the as-of date") as caught:
        history_NT(known_until(panel, 0), "target", 9)
    assert caught.value.code == "history_missing"


def test_slices_see_what_the_whole_sees() -> None:
    panel = panel_of(ragged(), Columns(targets=("target",)))
    parts = [history_NT(part(panel, first, first + 1), "target", 4) for first in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), history_NT(panel, "target", 4))


def test_a_slice_without_rows_ahead_ends_at_the_same_date() -> None:
    """The whole has rows ahead of the date, of series a alone: b's own end is no other date."""
    rows = [("a", day, 1.0, 0.0, 0.1, "x", 1) for day in (1, 2, 3, 4)]
    panel = panel_of(frame(*rows, ("b", 1, 5.0, 0.0, 0.1, "x", 1)), COLUMNS, as_of="2024-01-02")
    whole = history_NT(panel, "target", 9)
    np.testing.assert_array_equal(whole, [[1.0, 1.0], [5.0, NAN]])
    np.testing.assert_array_equal(history_NT(part(panel, 1, 2), "target", 9), whole[1:])


def test_a_series_of_another_calendar_stands_apart() -> None:
    panel = mixed.panel_of(mixed.series("d", "weekdays", 60), mixed.series("w", "weekly", 20))
    daily, weekly = by_calendar(panel)
    assert (daily.entities, weekly.entities) == (("d",), ("w",))
    assert history_NT(weekly, "gain", 99).shape == (1, 20)
    both_NT = histories_NT(panel, "gain")
    np.testing.assert_array_equal(both_NT[1, -20:], history_NT(weekly, "gain", 20)[0])
    assert np.isnan(both_NT[1, :-20]).all()


def test_last_values_are_flush_right_and_skip_what_is_missing() -> None:
    panel = panel_of(ragged())
    value_NK, slot_NK = last_values(panel, "target", 4)
    np.testing.assert_array_equal(
        value_NK, [[1.0, 2.0, 4.0, 5.0], [NAN, NAN, -1.0, -2.0], [NAN, NAN, NAN, 7.0], [NAN] * 4]
    )
    assert (slot_NK[0] - slot_NK[0, -1]).tolist() == [-4, -3, -1, 0]
    assert slot_NK[1, 3] == slot_NK[0, 3]  # day 5 of both
    np.testing.assert_array_equal(last_values(panel, "target", 2).value_NK, value_NK[:, 2:])


def test_steps_since_the_end_count_those_that_passed_without_a_value() -> None:
    late = mixed.series("w", "weekly", 20, ends_before=20)  # ends on 7 June, three Fridays before the end
    panel = mixed.panel_of(late)
    np.testing.assert_array_equal(since_end(panel, "gain", 4)[0], [late["gain"].iloc[-1], NAN, NAN, NAN])
    other = mixed.panel_of(late, mixed.series("v", "weekly", 30))
    np.testing.assert_array_equal(since_end(other, "gain", 4)[1], since_end(panel, "gain", 4)[0])


def test_no_step_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="longest is 0, wanted 1 or more"):
        history_NT(panel_of(ragged()), "target", 0)
