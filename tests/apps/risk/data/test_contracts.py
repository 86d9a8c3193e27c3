"""The contract of a table: each way a row can be broken, each way a table can be, and that nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.asof import walls
from apps.risk.data.columns import FAULT, Columns
from apps.risk.data.contracts import check, refused_entities, value_schema
from apps.risk.reasons import ROWS
from core.errors import InputError

FULL = Columns(
    targets=("target",),
    event="event",
    observed=("seen",),
    known=("due",),
    statics=("kind",),
    static_numbers=("age",),
    known_at="known_at",
)
GOOD = {
    "entity": "a",
    "time": "2024-01-31",
    "known_at": "2024-02-01",
    "target": 1.0,
    "event": 0,
    "seen": 2.0,
    "due": 3.0,
    "kind": "x",
    "age": 40,
}

# what is changed in one row → reason code, column at fault
BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"entity": None}, "entity_missing", "entity"),
    ({"entity": "  "}, "entity_missing", "entity"),
    ({"time": None}, "time_missing", "time"),
    ({"time": "31/01/2024"}, "time_value", "time"),
    ({"known_at": "soon"}, "time_value", "known_at"),
    ({"time": "2024-01-31T00:00+01:00"}, "time_zone", "time"),
    ({"known_at": "2024-02-01T00:00Z"}, "time_zone", "known_at"),
    ({"target": "much"}, "not_a_number", "target"),
    ({"seen": "1,5 or 2"}, "not_a_number", "seen"),
    ({"target": "1,234"}, "number_unclear", "target"),
    ({"event": "maybe"}, "not_a_number", "event"),
    ({"age": "old"}, "not_a_number", "age"),
    ({"target": np.inf}, "infinite", "target"),
    ({"due": "-inf"}, "infinite", "due"),
    ({"target": 1e18}, "out_of_range", "target"),
    ({"age": -1.1e15}, "out_of_range", "age"),
    ({"event": 2}, "event_value", "event"),
    ({"event": 0.5}, "event_value", "event"),
    ({"event": 1e18}, "out_of_range", "event"),
]


def rows(*changes: dict[str, Any]) -> pd.DataFrame:
    """Good rows of entity a, a month apart, each with its changes."""
    times = [str(time.date()) for time in pd.date_range("2024-01-31", periods=len(changes), freq="ME")]
    known = [str(time.date()) for time in pd.date_range("2024-02-01", periods=len(changes), freq="MS")]
    content = [
        GOOD | {"time": time, "known_at": at} | change
        for time, at, change in zip(times, known, changes, strict=True)
    ]
    return pd.DataFrame({name: pd.Series([row[name] for row in content], dtype=object) for name in GOOD})


@pytest.mark.parametrize(("change", "code", "column"), BROKEN)
def test_a_broken_row_is_set_aside_and_the_others_go_on(
    change: dict[str, Any], code: str, column: str
) -> None:
    checked = check(rows({}, change, {}), FULL)
    assert len(checked.accepted) == 2
    assert checked.rejected["row"].tolist() == [1]
    assert (checked.rejected["code"][0], checked.rejected["column"][0]) == (code, column)
    assert checked.rejected["sentence"][0] == ROWS.sentence(code, column=column)
    assert checked.later == 0


def test_a_line_that_could_not_be_split_is_set_aside() -> None:
    table = rows({}, {"entity": None}).assign(**{FAULT: [None, "2 values, wanted 9: a,b"]})
    checked = check(table, FULL)
    assert checked.rejected["code"].tolist() == ["row_shape"]
    assert "2 values, wanted 9: a,b" in checked.rejected["content"][0]


def test_missing_values_are_no_fault() -> None:
    empty = dict.fromkeys(("target", "event", "seen", "due", "kind", "age", "known_at"))
    checked = check(rows(empty, {}), FULL)
    assert len(checked.rejected) == 0
    first = checked.accepted.iloc[0]
    assert first[["target", "event", "seen", "due", "kind", "age"]].isna().all()
    assert first["known_at"] == pd.Timestamp("2024-01-31")  # known from its own time on


def test_accepted_rows_are_sorted_and_typed() -> None:
    table = rows({"entity": "b"}, {"entity": 7}, {"entity": "a"}, {"entity": "b", "time": "2023-12-31"})
    table["unused"] = 1
    accepted = check(table, FULL).accepted
    assert accepted["entity"].tolist() == ["7", "a", "b", "b"]
    assert accepted["time"].is_monotonic_increasing is False
    assert accepted["time"][2] < accepted["time"][3]
    assert tuple(accepted.columns) == FULL.all
    assert str(accepted["time"].dtype) == str(accepted["known_at"].dtype) == "datetime64[us]"
    assert {str(accepted[name].dtype) for name in ("target", "event", "seen", "due", "age")} == {"float64"}
    assert {str(accepted[name].dtype) for name in ("entity", "kind")} == {"category"}


def test_the_order_of_the_input_does_not_matter() -> None:
    table = pd.concat([rows({}, {"target": np.inf}, {}), rows({"entity": "b"}, {"entity": "b"})])
    straight = check(table, FULL)
    turned = check(table.iloc[::-1], FULL)
    pd.testing.assert_frame_equal(straight.accepted, turned.accepted)
    assert sorted(4 - turned.rejected["row"]) == straight.rejected["row"].tolist() == [1]


def test_a_clean_table_is_neither_copied_nor_changed() -> None:
    times = pd.to_datetime(["2024-01-01", "2024-01-02"]).astype("datetime64[us]")
    table = pd.DataFrame({"entity": "a", "time": times, "target": [1.0, 2.0]})
    before = table.copy(deep=True)
    accepted = check(table, Columns()).accepted
    assert np.shares_memory(accepted["target"].to_numpy(), table["target"].to_numpy())
    pd.testing.assert_frame_equal(table, before)
    unsorted = check(table.iloc[::-1], Columns()).accepted
    pd.testing.assert_frame_equal(unsorted, accepted)


def test_of_equal_copies_one_is_kept() -> None:
    same = {"time": "2024-01-31", "known_at": "2024-02-01"}
    checked = check(rows({}, same, {}, same), FULL)
    assert len(checked.accepted) == 2
    assert checked.rejected["row"].tolist() == [1, 3]
    assert set(checked.rejected["code"]) == {"duplicate_row"}


def test_rows_of_one_key_that_differ_are_all_set_aside() -> None:
    same = {"time": "2024-01-31", "known_at": "2024-02-01"}
    checked = check(rows({}, same | {"target": 2.0}, {}, same), FULL)
    assert checked.accepted["time"].tolist() == [pd.Timestamp("2024-03-31")]
    assert dict(zip(checked.rejected["row"], checked.rejected["code"], strict=True)) == {
        0: "duplicate_key",
        1: "duplicate_key",
        3: "duplicate_row",
    }


def test_a_broken_row_does_not_spoil_its_twin() -> None:
    checked = check(rows({}, {"time": "2024-01-31", "known_at": "2024-02-01", "target": "x"}), FULL)
    assert len(checked.accepted) == 1
    assert checked.rejected["code"].tolist() == ["not_a_number"]


def test_known_at_tells_revisions_from_duplicates() -> None:
    checked = check(rows({}, {"time": "2024-01-31", "target": 9.0}), FULL)
    assert checked.accepted["target"].tolist() == [1.0, 9.0]
    assert len(checked.rejected) == 0


def test_a_zone_brings_mixed_offsets_together() -> None:
    table = pd.DataFrame(
        {
            "entity": "a",
            "time": ["2024-01-01T00:00+01:00", "2024-07-01T00:00+02:00", "2024-08-01"],
            "target": 1.0,
        }
    )
    without = check(table, Columns())
    assert without.rejected["code"].tolist() == ["time_zone"]  # offsets are instants, the third row has none
    within = check(table, Columns(zone="Europe/Berlin"))
    assert within.accepted["time"].dt.strftime("%m-%dT%H").tolist() == ["12-31T23", "06-30T22", "07-31T22"]
    walls_R = walls(within.accepted, Columns(zone="Europe/Berlin"))
    assert [str(wall)[5:10] for wall in walls_R] == ["01-01", "07-01", "08-01"]


def test_most_rows_decide_the_offset() -> None:
    times = ["2024-01-01T00:00Z", "2024-01-02T00:00Z", "2024-01-03"]
    checked = check(pd.DataFrame({"entity": "a", "time": times, "target": 1.0}), Columns())
    assert checked.rejected["row"].tolist() == [2]


def test_the_bound_can_be_set() -> None:
    table = rows({}, {"target": 1e6}, {"target": -1e6 - 1})
    assert len(check(table, FULL, bound=1e6).rejected) == 1
    assert len(check(table, FULL).rejected) == 0


def test_accepted_values_pass_panderas_own_validation_and_refused_ones_do_not() -> None:
    table = rows({}, {"target": np.inf}, {"event": 2}, {"target": None})
    schema = value_schema(FULL)
    assert list(schema.columns) == ["target", "event", "seen", "due", "age"]
    numbers = table[list(schema.columns)].astype(float)
    accepted = check(table, FULL).accepted[list(schema.columns)]
    schema.validate(accepted)
    assert len(accepted) == 2
    with pytest.raises(pandera.errors.SchemaErrors) as caught:
        schema.validate(numbers, lazy=True)
    assert sorted(caught.value.failure_cases["index"]) == [1, 2]


def test_a_column_may_have_any_name() -> None:
    columns = Columns(
        entity="time", time="entity", targets=("values", "row"), statics=("words",), known=("code",)
    )
    table = pd.DataFrame(
        {"time": ["a"], "entity": ["2024-01-01"], "values": [1], "row": [2], "words": ["w"], "code": [3]}
    )
    accepted = check(table, columns).accepted
    assert accepted.to_dict("records") == [
        {
            "time": "a",
            "entity": pd.Timestamp("2024-01-01"),
            "values": 1.0,
            "row": 2.0,
            "code": 3.0,
            "words": "w",
        }
    ]


@pytest.mark.parametrize(
    ("table", "code", "sentence"),
    [
        (rows({}).drop(columns="seen"), "column_missing", 'the table has no column "seen": '),
        (rows({}).rename(columns={"target": "Targett"}), "column_missing", 'did you mean "Targett"?'),
        (rows(), "table_empty", "the table has columns but no rows"),
        (
            rows({"target": "x"}, {"target": np.inf}),
            "nothing_left",
            "no row can be used (not_a_number 1, infinite 1)",
        ),
        (
            pd.concat([rows({}), rows({})["age"]], axis=1),
            "column_doubled",
            'the table has "age" more than once',
        ),
    ],
)
def test_a_broken_table_stops(table: pd.DataFrame, code: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        check(table, FULL)
    assert caught.value.code == code
    assert sentence in caught.value.sentence
    assert "\n" not in caught.value.sentence


def test_rows_known_later_do_not_exist_whatever_they_hold() -> None:
    table = rows({}, {"target": np.inf}, {"target": np.inf})  # known from 1 February, March, April on
    checked = check(table, FULL, parse_as_of("2024-03-01").wall)
    assert (len(checked.accepted), checked.rejected["row"].tolist(), checked.later) == (1, [1], 1)


def test_a_value_from_beyond_the_date_at_which_it_claims_to_be_known_is_refused() -> None:
    future = {"time": "2024-05-31", "known_at": "2024-02-01"}
    planned = future | {"target": None, "event": None, "seen": None, "time": "2024-06-30"}
    checked = check(rows({}, future, planned), FULL, parse_as_of("2024-03-01").wall)
    assert checked.rejected["row"].tolist() == [1]
    assert (checked.rejected["code"][0], checked.rejected["column"][0]) == ("future_dated", "target")
    assert checked.accepted["due"].tolist() == [3.0, 3.0]
    assert len(check(rows({}, future, planned), FULL).rejected) == 0


def test_without_known_at_only_what_is_known_in_advance_is_read_ahead() -> None:
    columns = Columns(observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",))
    ahead = {"target": "x", "seen": np.inf, "age": "old", "kind": "new"}
    table = rows({}, ahead, ahead | {"due": np.inf}).drop(columns=["event", "known_at"])
    checked = check(table, columns, parse_as_of("2024-01-31").wall)
    assert checked.accepted["due"].tolist() == [3.0, 3.0]
    assert checked.accepted[["target", "seen", "age", "kind"]].isna().all(axis=1).tolist() == [False, True]
    assert checked.rejected["code"].tolist() == ["infinite"]
    hidden = check(table, Columns(observed=("seen",)), parse_as_of("2024-01-31").wall)
    assert (len(hidden.accepted), hidden.later) == (1, 2)


def test_an_as_of_date_before_all_data_stops() -> None:
    with pytest.raises(InputError) as caught:
        check(rows({}, {}), FULL, parse_as_of("2024-01-31").wall)
    assert caught.value.code == "as_of_before_data"
    assert caught.value.sentence == (
        "nothing was known as of 2024-01-31: the first row became known on 2024-02-01; choose a later as_of"
    )


def test_entities_without_a_row_are_named_with_their_reason() -> None:
    table = rows({}, {"entity": "c", "target": "x"}, {"entity": "b", "target": np.inf}, {"target": np.inf})
    checked = check(pd.concat([table, rows({"entity": "c", "time": "x"})]), FULL)
    refused = refused_entities(checked, FULL)
    assert list(refused) == ["b", "c"]
    assert refused["c"] == (
        "rows_rejected",
        "no row of it can be used (of 2); the first: " + ROWS.sentence("not_a_number", column="target"),
    )


CELLS = {
    "entity": st.sampled_from(["a", "b", None]),
    "time": st.sampled_from(["2024-01-31", "2024-02-29", "2024-03-31", "x", None, "2024-01-31T00:00Z"]),
    "target": st.sampled_from([1.0, 2.0, None, "x", np.inf, 1e18]),
    "known_at": st.sampled_from(["2024-02-01", "2024-03-01", None, "x"]),
}


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    content=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8),
    as_of=st.sampled_from([None, "2024-02-10", "2024-03-31"]),
    revised=st.booleans(),
)
def test_nothing_is_lost(content: list[dict[str, Any]], as_of: str | None, revised: bool) -> None:
    table = pd.DataFrame(content, dtype=object)
    columns = Columns(known_at="known_at" if revised else None)
    try:
        checked = check(table, columns, None if as_of is None else parse_as_of(as_of).wall)
    except InputError as error:
        if error.code not in ("nothing_left", "as_of_before_data"):
            raise
        return
    assert len(checked.accepted) + len(checked.rejected) + checked.later == len(table)
    assert checked.rejected["row"].is_monotonic_increasing
    keys = checked.accepted.drop(columns="target").drop_duplicates()
    assert len(keys) == len(checked.accepted) > 0
