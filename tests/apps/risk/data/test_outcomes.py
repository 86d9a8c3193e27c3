"""The outcomes are those that the loan book knows; what is not known yet, or came before, is not asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.loan_book import generate_loan_book
from apps.risk.data.outcomes import event_origins, outcomes_missing
from tests.apps.risk.data.panels import frame, panel_of

EVENT = Columns(targets=(), event="default")


def book_of(*rows: tuple[str, int, float | None]) -> pd.DataFrame:
    table = frame(*((entity, day, None, None, None, None, None) for entity, day, _ in rows))
    return table.assign(default=[event for *_, event in rows])[["entity", "time", "default"]]


def asked(table: pd.DataFrame, horizon: int, as_of: str | None = None) -> list[tuple[str, int, int, float]]:
    """(entity, row, day that is known last, whether it came)."""
    panel = panel_of(table, EVENT, as_of)
    result = event_origins(panel, horizon)
    days = panel.calendar_T[result.step_B].astype("datetime64[D]").astype(str)
    names = [panel.entities[entity] for entity in result.entity_B]
    return list(
        zip(
            names,
            result.origin_B.tolist(),
            [int(day[-2:]) for day in days],
            result.event_B.tolist(),
            strict=True,
        )
    )


def test_outcomes_are_those_of_the_loan_book() -> None:
    book = generate_loan_book(borrowers=300, months=20, horizon=5, seed=3)
    panel = panel_of(book.table, book.columns)
    result = event_origins(panel, book.horizon)
    mine = pd.DataFrame(
        {
            "borrower": np.array(panel.entities)[result.entity_B],
            "month": panel.calendar_T[result.step_B],
            "mine": result.event_B,
        }
    )
    both = book.truth.dropna(subset="outcome").merge(mine, on=["borrower", "month"], how="outer")
    assert len(both) == len(result) > 3000
    assert (both["mine"] == both["outcome"]).all()
    assert 50 < both["mine"].sum() < 0.2 * len(both)


def test_who_left_has_no_event_and_who_had_it_is_not_asked_again() -> None:
    table = book_of(
        ("left", 1, 0.0),
        ("lost", 1, 0.0),
        ("lost", 2, 1.0),
        ("lost", 3, 0.0),
        ("stays", 1, 0.0),
        ("stays", 2, 0.0),
        ("stays", 3, 0.0),
    )
    assert asked(table, 1) == [
        ("left", 1, 1, 0.0),
        ("lost", 2, 1, 1.0),
        ("stays", 5, 1, 0.0),
        ("stays", 6, 2, 0.0),
    ]
    # two days ahead only day 1 has an outcome, though the event of `lost` is there already on day 2
    assert asked(table, 2) == [("left", 1, 1, 0.0), ("lost", 2, 1, 1.0), ("stays", 5, 1, 0.0)]


def test_a_horizon_counts_times_of_the_calendar_not_rows() -> None:
    table = book_of(("gap", 1, 0.0), ("gap", 4, 1.0), *(("full", day, 0.0) for day in (1, 2, 3, 4)))
    assert [row for row in asked(table, 2) if row[0] == "gap"] == [("gap", 5, 1, 0.0)]
    assert [row for row in asked(table, 3) if row[0] == "gap"] == [("gap", 5, 1, 1.0)]


def test_rows_that_do_not_tell_leave_it_unknown() -> None:
    table = book_of(
        ("a", 1, None), ("a", 2, None), ("a", 3, 1.0), ("b", 1, None), ("b", 2, 0.0), ("b", 3, None)
    )
    # nothing is known of a on day 2: were its event on day 3 to count from day 1 on, no other outcome could
    assert asked(table, 1) == [("a", 2, 2, 1.0), ("b", 4, 1, 0.0)]
    assert asked(table, 2) == []
    behind = book_of(("a", 1, 0.0), ("a", 2, 1.0), ("a", 3, None))
    assert asked(behind, 2) == [("a", 1, 1, 1.0)]


def test_the_as_of_date_ends_what_is_known() -> None:
    table = book_of(*(("a", day, 0.0) for day in (1, 2, 3)), ("a", 4, 1.0))
    assert asked(table, 1, "2024-01-03") == [("a", 1, 1, 0.0), ("a", 2, 2, 0.0)]
    assert asked(table, 1, "2024-01-04")[-1] == ("a", 3, 3, 1.0)
    assert asked(table, 9) == []


def test_impossible_requests() -> None:
    panel = panel_of(book_of(("a", 1, 0.0)), EVENT)
    with pytest.raises(ValueError, match="wanted a horizon of 1 or more and an event, got 0, default"):
        event_origins(panel, 0)
    no_event = panel_of(frame(("a", 1, 1.0, 1.0, 1.0, "x", 1)))
    with pytest.raises(ValueError, match="and an event, got 1, None"):
        event_origins(no_event, 1)


def test_some_of_them() -> None:
    result = event_origins(panel_of(book_of(*(("a", day, 0.0) for day in (1, 2, 3))), EVENT), 1)
    assert len(result) == 2
    assert result.where(np.array([False, True])).origin_B.tolist() == [2]


def test_a_table_that_can_tell_of_no_outcome_says_why() -> None:
    one = outcomes_missing(panel_of(book_of(("a", 1, 0.0), ("b", 2, 1.0)), EVENT))
    assert str(one).startswith("each entity has one row, so that no row tells what came after it")
    always = [(name, month, 1.0 if month == 2 else None) for name in "ab" for month in (1, 2)]
    assert str(outcomes_missing(panel_of(book_of(*always), EVENT))).startswith(
        "default is 1 wherever it is known, in 2"
    )
    assert outcomes_missing(panel_of(book_of(*always, ("c", 1, 0.0), ("c", 2, 0.0)), EVENT)) is None
