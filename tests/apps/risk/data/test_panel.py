"""Flat arrays of ragged series: positions, codes, last known statics, gaps, selections."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.data.columns import Columns
from apps.risk.data.panel import UNSEEN, Panel, build_panel, fill_gaps, on_table_times, part, take
from core.errors import InternalFault
from tests.apps.risk.data.panels import COLUMNS, frame, panel_of, ragged

NAN = np.nan


def test_rows_lie_by_entity_and_time() -> None:
    panel = panel_of(ragged().sample(frac=1, random_state=1))
    assert panel.entities == ("a", "b", "c", "d")
    assert panel.offset_N1.tolist() == [0, 5, 7, 8, 10]
    assert panel.length_N.tolist() == panel.past_N.tolist() == [5, 2, 1, 2]
    assert panel.entity_R.tolist() == [0] * 5 + [1] * 2 + [2] + [3] * 2
    assert panel.step_R.tolist() == [0, 1, 2, 3, 4, 1, 4, 4, 0, 1]
    assert [str(time)[:10] for time in panel.calendar_T] == [f"2024-01-0{day}" for day in range(1, 6)]
    assert panel.value_RF.dtype == np.float64
    np.testing.assert_array_equal(
        panel.value_RF[:7],
        np.array(
            [
                [1, 10, 0.1],
                [2, 20, 0.2],
                [NAN, 30, 0.3],
                [4, NAN, 0.4],
                [5, 50, NAN],
                [-1, 1, 0.2],
                [-2, 2, 0.5],
            ],
            dtype=np.float64,
        ),
    )
    assert panel.past_R.all()


def test_statics_are_coded_and_the_last_known_one_counts() -> None:
    panel = panel_of(ragged())
    assert panel.categories == {"kind": ("x", "y", "z")}
    assert panel.code_NS[:, 0].tolist() == [2, 3, 1, UNSEEN]  # y, z, x, none
    np.testing.assert_array_equal(panel.number_NM[:, 0], np.array([31, 41, NAN, NAN], dtype=np.float64))


def test_a_category_that_training_did_not_have_gets_the_reserved_code() -> None:
    panel = panel_of(ragged(), categories={"kind": ("y", "x", "never")})
    assert panel.code_NS[:, 0].tolist() == [1, UNSEEN, 2, UNSEEN]
    assert panel.categories["kind"] == ("y", "x", "never")


def test_rows_ahead_are_distinguished_from_the_past() -> None:
    panel = panel_of(ragged(), as_of="2024-01-03")
    assert panel.entities == ("a", "b", "d")
    assert panel.past_N.tolist() == [3, 1, 2]
    assert panel.length_N.tolist() == [5, 2, 2]
    assert panel.past_R.tolist() == [True] * 3 + [False] * 2 + [True, False, True, True]
    ahead_RF = panel.value_RF[~panel.past_R]
    assert np.isnan(ahead_RF[:, :2]).all()
    np.testing.assert_array_equal(ahead_RF[:, 2], np.array([0.4, NAN, 0.5], dtype=np.float64))
    assert panel.code_NS[:, 0].tolist() == [
        1,
        2,
        UNSEEN,
    ]  # y of day 4 is not known yet, and z is the second word


def test_a_table_without_statics_or_covariates_is_a_panel() -> None:
    table = pd.DataFrame({"entity": ["a"], "time": ["2024-01-01"], "target": [1.0]})
    panel = panel_of(table, Columns())
    assert (panel.value_RF.shape, panel.code_NS.shape, panel.number_NM.shape) == ((1, 1), (1, 0), (1, 0))


def test_an_unsorted_table_is_a_fault() -> None:
    table = pd.DataFrame(
        {
            "entity": pd.Categorical(["a", "a"]),
            "time": pd.to_datetime(["2024-01-02", "2024-01-01"]),
            "target": [1.0, 2.0],
        }
    )
    for wrong in (table, table.assign(time=table["time"][0])):
        with pytest.raises(InternalFault, match="not sorted by entity and time, or has a key twice"):
            build_panel(wrong, Columns())


def test_gaps_between_a_series_own_rows_are_filled_with_nothing() -> None:
    filled = fill_gaps(panel_of(ragged()))
    assert filled.length_N.tolist() == [5, 4, 1, 2]
    assert filled.past_N.tolist() == [5, 4, 1, 2]
    assert filled.step_R.tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4, 4, 0, 1]
    np.testing.assert_array_equal(filled.value_RF[5:9, 0], np.array([-1, NAN, NAN, -2], dtype=np.float64))
    assert filled.entities == ("a", "b", "c", "d")


def test_the_past_ends_at_its_own_last_row_after_filling() -> None:
    filled = fill_gaps(panel_of(ragged(), as_of="2024-01-03"))
    assert filled.length_N.tolist() == [5, 4, 2]
    assert filled.past_N.tolist() == [3, 1, 2]


def test_a_series_of_another_calendar_keeps_its_rows() -> None:
    rows = [("a", day, 1.0, 1.0, 1.0, "x", 1) for day in range(1, 11)]
    panel = panel_of(frame(*rows, ("b", 1, 1.0, 1.0, 1.0, "x", 1), ("b", 10, 2.0, 1.0, 1.0, "x", 1)))
    assert fill_gaps(panel).length_N.tolist() == [10, 2], "its own two times have no gap"
    panel = on_table_times(panel)
    assert fill_gaps(panel).length_N.tolist() == [10, 2]
    assert fill_gaps(panel).step_R[10:].tolist() == [0, 9]
    assert fill_gaps(panel, most=5.0).length_N.tolist() == [10, 10]


def test_a_panel_without_gaps_stays_itself() -> None:
    panel = panel_of(frame(*[("a", day, 1.0, 1.0, 1.0, "x", 1) for day in range(1, 4)]))
    assert fill_gaps(panel) is panel


def test_some_entities_can_be_taken() -> None:
    panel = panel_of(ragged())
    some = take(panel, np.array([False, True, False, True]))
    assert some.entities == ("b", "d")
    assert some.offset_N1.tolist() == [0, 2, 4]
    assert some.step_R.tolist() == [1, 4, 0, 1]
    np.testing.assert_array_equal(some.value_RF, panel.value_RF[[5, 6, 8, 9]])
    np.testing.assert_array_equal(some.code_NS, panel.code_NS[[1, 3]])
    assert take(panel, np.zeros(4, dtype=bool)).entities == ()


def test_a_part_is_what_taking_those_entities_gives() -> None:
    panel = panel_of(ragged())
    some, same = part(panel, 1, 3), take(panel, np.array([False, True, True, False]))
    assert some.entities == same.entities == ("b", "c")
    for name in ("offset_N1", "past_N", "step_R", "value_RF", "code_NS", "number_NM", "calendar_T"):
        np.testing.assert_array_equal(getattr(some, name), getattr(same, name))
    assert np.shares_memory(some.value_RF, panel.value_RF)
    assert part(panel, 0, 4).entities == panel.entities


def _series(panel: Panel) -> dict[str, list[tuple[int, ...]]]:
    """Return entity → (step, values as bytes) of its rows that have any value."""
    out: dict[str, list[tuple[int, ...]]] = {name: [] for name in panel.entities}
    for entity, step, value_F in zip(panel.entity_R, panel.step_R, panel.value_RF, strict=True):
        if not np.isnan(value_F).all():
            out[panel.entities[entity]].append((int(step), *np.nan_to_num(value_F, nan=-9.0).tolist()))
    return out


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    keys=st.sets(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=12),
    most=st.sampled_from([1.0, 2.0, 9.0]),
)
def test_filling_loses_and_adds_nothing(keys: set[tuple[str, int]], most: float) -> None:
    rows = [(name, day, float(day), None, None, None, None) for name, day in sorted(keys)]
    panel = panel_of(frame(*rows))
    filled = fill_gaps(panel, most)
    assert _series(filled) == _series(panel)
    assert filled.past_N.tolist() == filled.length_N.tolist()
    assert (filled.length_N <= np.maximum(most * panel.length_N, panel.length_N)).all()
    same = filled.entity_R[1:] == filled.entity_R[:-1]
    assert (np.diff(filled.step_R)[same] >= 1).all()


def test_a_panel_is_made_from_all_columns_of_its_roles() -> None:
    assert COLUMNS.features == ("target", "seen", "due")


def test_a_level_of_a_billion_keeps_its_steps_of_one() -> None:
    table = ragged().assign(target=lambda rows: 1e9 + np.arange(len(rows)), age=1e9 + 1.0)
    panel = panel_of(table)
    assert sorted(panel.value_RF[:, 0].tolist()) == [1e9 + step for step in range(len(table))]
    assert panel.number_NM.ravel().tolist() == [1e9 + 1.0] * len(panel.entities)
