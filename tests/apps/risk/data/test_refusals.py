"""Series that cannot be scored: each reason, its sentence, and which comes first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.columns import Columns
from apps.risk.data.refusals import refusals
from tests.apps.risk.data.panels import panel_of, ragged

COLUMNS = Columns(targets=("target",), event="default", observed=("seen",), known=("due",), known_at="at")


def _rows(entity: str, values: list[float | None], first: int = 1) -> pd.DataFrame:
    times = [f"2024-01-{first + index:02d}" for index in range(len(values))]
    return pd.DataFrame(
        {"entity": entity, "time": times, "target": values, "default": 0, "seen": 1.0, "due": 1.0}
    )


TABLE = pd.concat(
    [
        _rows("good", [1.0, 2.0, None, 3.0]),
        _rows("flat", [5.0, 5.0, None, 5.0]),
        _rows("short", [1.0], first=4),
        _rows("empty", [None, None]),
        _rows("old", [1.0, 2.0]),
        _rows("planned", [None], first=9),
    ]
).assign(at="2024-01-01")
TABLE.loc[TABLE["entity"] == "planned", ["default", "seen"]] = None
AS_OF = "2024-01-04"


def test_each_reason_has_its_sentence() -> None:
    result = refusals(panel_of(TABLE, COLUMNS, AS_OF), shortest=2, oldest=1)
    assert result == {
        "empty": ("all_missing", "it has no value from which target could be forecast"),
        "flat": (
            "constant",
            "its values of target are all the same: it has no risk that could be measured",
        ),
        "old": (
            "stale",
            "its last value of target lies 2 steps back, and at most 1 are allowed (data.oldest)",
        ),
        "planned": ("no_history", "it has rows known in advance only, and none up to the as-of date"),
        "short": ("too_short", "it has too few known values of target for a forecast"),
    }


def test_limits_can_be_eased() -> None:
    result = refusals(panel_of(TABLE, COLUMNS, AS_OF), shortest=1)
    assert list(result) == ["empty", "flat", "planned"]


def test_an_event_that_never_happened_is_no_constant_series() -> None:
    result = refusals(panel_of(TABLE, COLUMNS, AS_OF), shortest=1, label="default")
    assert list(result) == ["planned"]


def test_only_the_past_counts() -> None:
    # c begins on day 5; of b one value is known by day 4, whatever comes after
    assert refusals(panel_of(ragged(), as_of="2024-01-04"))["b"][0] == "too_short"
    assert "c" not in refusals(panel_of(ragged(), as_of="2024-01-04"))


def test_values_that_differ_by_their_last_bit_are_not_constant() -> None:
    table = _rows("a", [1.0, float(np.nextafter(1.0, 2.0))]).assign(at="2024-01-01")
    assert refusals(panel_of(table, COLUMNS)) == {}
