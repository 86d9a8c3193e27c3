"""The proof of no look-ahead: change only what was known later, and no byte of what comes out changes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.asof import view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check, refused_entities
from apps.risk.data.panel import build_panel
from apps.risk.data.refusals import refusals
from core.errors import InputError

pytestmark = pytest.mark.slow

TODAY = 4
AS_OF = parse_as_of(f"2024-01-0{TODAY}").wall
ROLES: dict[str, Any] = {
    "observed": ("seen",),
    "statics": ("kind",),
    "static_numbers": ("age",),
    "event": "event",
}

day = st.integers(1, 7)
number = st.sampled_from(
    [0.0, 1.0, 2.0, 2.5, None, "3", "4", "x", np.inf, 1e18, "(1.5)", "1,5", "1.234", "1,234", "12 %", "$2"]
)
GOOD = {"entity": "a", "target": 1.0, "event": 0, "seen": 1.0, "due": 1.0, "kind": "x", "age": 30.0}
CONTENT = {
    "entity": st.sampled_from(["a", "b", "c", "d", None]),
    "target": number,
    "event": st.sampled_from([0, 1, -1, "yes", None, 7]),
    "seen": number,
    "due": number,
    "kind": st.sampled_from(["x", "y", None]),
    "age": number,
}
# a row's place in time: the day it is about, and the day on which it became known (None: its own)
PLACES = st.tuples(st.one_of(day, st.just("x"), st.none()), st.one_of(day, st.none(), st.just("x")))


def _row(content: dict[str, Any], index: tuple[Any, Any]) -> dict[str, Any]:
    time, known = (f"2024-01-0{part}" if isinstance(part, int) else part for part in index)
    return {**content, "time": time, "at": known}


def _known_later(index: tuple[Any, Any]) -> bool:
    time, known = index
    since = known if isinstance(known, int) else time
    return isinstance(since, int) and since > TODAY


def _output(table: pd.DataFrame, columns: Columns) -> list[bytes] | None:
    """Return all that comes out of a table at the date, as bytes; None where the table stops."""
    try:
        checked = check(table, columns, AS_OF)
        seen = view(checked.accepted, columns, AS_OF)
    except InputError:
        return None
    panel = build_panel(seen, columns, AS_OF)
    out = [
        checked.rejected.to_csv().encode(),
        repr(checked.notes).encode(),
        repr(refused_entities(checked, columns)).encode(),
    ]
    for field in dataclasses.fields(panel):
        value = getattr(panel, field.name)
        out.append(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return [*out, repr(refusals(panel)).encode()]


# few large tables rather than many small ones: a table costs the same whatever its rows
rows = st.lists(st.tuples(st.fixed_dictionaries(CONTENT), PLACES), max_size=16)
FUTURES = st.tuples(
    st.fixed_dictionaries(CONTENT),
    st.one_of(
        st.tuples(day, st.integers(TODAY + 1, 9)),  # of any day, known later
        st.tuples(st.integers(TODAY + 1, 7), st.none()),
        st.tuples(st.just("x"), st.integers(TODAY + 1, 9)),
    ),
)
futures = st.lists(FUTURES, max_size=12)


@settings(max_examples=60, deadline=None)
@given(early=rows, later=futures, other=futures, known=st.booleans(), order=st.randoms(use_true_random=False))
def test_what_is_known_later_changes_no_byte(
    early: list[Any], later: list[Any], other: list[Any], known: bool, order: Any
) -> None:
    columns = Columns(**ROLES, known=("due",) if known else (), known_at="at")
    now = [_row(GOOD, (1, 1))] + [_row(content, index) for content, index in early if not _known_later(index)]
    worlds = []
    for future in (later, other):
        mixed = list(now)
        for content, index in future:
            assert _known_later(index)
            mixed.insert(order.randint(0, len(mixed)), _row(content, index))
        worlds.append(pd.DataFrame(mixed, columns=[*CONTENT, "time", "at"], dtype=object))
    first, second = (_output(table, columns) for table in worlds)
    event(f"output: {first is not None}, worlds differ: {not worlds[0].equals(worlds[1])}")
    assert first == second


@settings(max_examples=60, deadline=None)
@given(
    past=st.lists(st.tuples(st.fixed_dictionaries(CONTENT), st.integers(1, TODAY)), max_size=16),
    ahead=st.lists(st.tuples(*[st.fixed_dictionaries(CONTENT)] * 3, st.integers(TODAY + 1, 7)), max_size=12),
    known=st.booleans(),
)
def test_without_known_at_only_what_is_known_in_advance_counts(
    past: list[Any], ahead: list[Any], known: bool
) -> None:
    columns = Columns(**ROLES, known=("due",) if known else ())
    worlds = []
    for world in (0, 1):
        content = [_row(GOOD, (1, None))] + [_row(row, (time, None)) for row, time in past]
        for plan, *futures, time in ahead:
            fixed = {"entity": plan["entity"], "due": plan["due"]} if known else {}
            content.append(_row(futures[world] | fixed, (time, None)))
        if world and known:  # one of whom nobody has heard yet
            content += [_row(GOOD | {"entity": "new"}, (TODAY + 1, None))] * 2
        worlds.append(pd.DataFrame(content, columns=[*CONTENT, "time", "at"], dtype=object))
    first, second = (_output(table, columns) for table in worlds)
    event(f"output: {first is not None}")
    assert first == second


def test_the_proof_can_fail() -> None:
    row = dict.fromkeys(CONTENT, None) | {"entity": "a"}
    columns = Columns(**ROLES, known=("due",), known_at="at")
    tables = [
        pd.DataFrame(
            [_row(row | {"target": 1.0}, (1, None)), _row(row | {"target": second}, (2, None))], dtype=object
        )
        for second in (2.0, 3.0, "x")
    ]
    outputs = [_output(table, columns) for table in tables]
    assert all(output is not None for output in outputs)
    assert len({b"|".join(output or []) for output in outputs}) == 3
