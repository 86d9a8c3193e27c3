"""Small panels for tests."""

from __future__ import annotations

from typing import Any

import pandas as pd

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.data.asof import view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.panel import Categories, Panel, build_panel

COLUMNS = Columns(
    targets=("target",), observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",)
)


def frame(*rows: tuple[Any, ...]) -> pd.DataFrame:
    """Rows of (entity, day of January 2024, target, seen, due, kind, age)."""
    table = pd.DataFrame(list(rows), columns=["entity", "time", "target", "seen", "due", "kind", "age"])
    return table.assign(time=[f"2024-01-{day:02d}" for day in table["time"]])


def panel_of(
    table: pd.DataFrame,
    columns: Columns = COLUMNS,
    as_of: str | None = None,
    categories: Categories | None = None,
) -> Panel:
    date = None if as_of is None else parse_as_of(as_of).wall
    accepted = check(table, columns, date).accepted
    return build_panel(view(accepted, columns, date), columns, date, categories)


def ragged() -> pd.DataFrame:
    """a: days 1–5 with a missing value; b: days 2 and 5 (a gap); c: day 5 only; d: all missing."""
    return frame(
        ("a", 1, 1.0, 10.0, 0.1, "x", 30),
        ("a", 2, 2.0, 20.0, 0.2, "x", None),
        ("a", 3, None, 30.0, 0.3, None, 31),
        ("a", 4, 4.0, None, 0.4, "y", None),
        ("a", 5, 5.0, 50.0, None, None, None),
        ("b", 2, -1.0, 1.0, 0.2, "z", 40),
        ("b", 5, -2.0, 2.0, 0.5, None, 41),
        ("c", 5, 7.0, 7.0, 0.5, "x", None),
        ("d", 1, None, None, None, None, None),
        ("d", 2, None, None, None, None, None),
    )
