"""Why rows are set aside: reason codes, their sentences, and the table of refused rows.

Legend: R rows of the input, J rows refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from apps.risk.data.columns import FAULT, Columns
from core.errors import InputError

REJECTED = ("row", "code", "column", "sentence", "entity", "content")

# Reason code → sentence about one row; {column} is the column at fault.
REASONS = {
    "row_shape": "the line does not have as many values as the header",
    "entity_missing": "{column} is empty: each row needs its entity",
    "time_missing": "{column} is empty: each row needs its time",
    "time_value": "{column} is no time: wanted ISO 8601 such as 2024-03-31, or name how it is written by "
    "data.time_format (unix or unix_ms: seconds or milliseconds since 1970)",
    "time_zone": "{column} has an offset from UTC and most rows have none, or the other way round: name a zone",
    "time_skipped": "{column} does not exist in the zone, whose clock is put ahead over it: write it with its offset",
    "time_doubled": "{column} comes twice in the zone, whose clock is put back: write it with its offset",
    "not_a_number": "{column} is no number: wanted one such as 1234.5, or nothing where it is not known",
    "number_unclear": "{column} may be one of two numbers, as 1,234 may be 1234 or 1.234: name the mark before "
    "fractions, data.decimal=point or data.decimal=comma",
    "infinite": "{column} is infinite: leave it empty where it is not known",
    "out_of_range": "{column} is larger in size than a plausible value: mend its unit, or leave it empty",
    "event_value": "{column} is neither 0 nor 1: wanted 1 where the event happened, 0 where it did not, and nothing "
    "where it is not known yet",
    "future_dated": "{column} holds a value later than the as-of date by which it claims to be known",
    "duplicate_row": "the row is there more than once: one copy is kept",
    "duplicate_key": "other rows of this entity and time have other values: keep one, or tell when each became known",
}


class Faults:
    """The first fault of each row. number_R: 0 where there is none, else a place in `kinds`."""

    def __init__(self, size: int) -> None:
        self.number_R = np.zeros(size, dtype=np.int16)
        self.kinds: list[tuple[str, str]] = [("", "")]

    def add(self, code: str, column: str, mask_R: np.ndarray) -> None:
        """Note a fault where the mask says so and no earlier one was found."""
        if mask_R.any():
            self.number_R[mask_R & (self.number_R == 0)] = len(self.kinds)
            self.kinds.append((code, column))

    def rejected(
        self,
        table: pd.DataFrame,
        columns: Columns,
        entity: tuple[np.ndarray, Sequence[str]],
        later_R: np.ndarray,
        unread: tuple[np.ndarray, Collection[str]] | None = None,
    ) -> pd.DataFrame:
        """Return the refused rows, with columns REJECTED, in the order of the input.

        entity: number of each row's entity, (R,), -1 where it has none, and the entities' texts. later_R: rows that
        do not exist yet; they are not even counted, so that the number of a row does not depend on them. unread:
        rows, (R,) bool, of which some columns do not exist yet: those are left out of the content.
        """
        row_J = np.flatnonzero((self.number_R > 0) & ~later_R)
        kinds = [self.kinds[number] for number in self.number_R[row_J]]
        earlier_J = np.cumsum(later_R)[row_J] if len(row_J) else row_J
        names = [*columns.all, *([FAULT] if FAULT in table else [])]
        written = table[names].iloc[row_J].to_dict(orient="records")
        if unread is not None:
            for place in np.flatnonzero(unread[0][row_J]):
                written[place] = {
                    name: value for name, value in written[place].items() if name not in unread[1]
                }
        texts = {
            "code": [code for code, _ in kinds],
            "column": [column for _, column in kinds],
            "sentence": [REASONS[code].format(column=column) for code, column in kinds],
            "entity": np.array([*entity[1], None], dtype=object)[entity[0][row_J]],
            "content": [_json(row) for row in written],
        }
        return pd.DataFrame(
            {
                "row": (row_J - earlier_J).astype(np.int64),
                **{name: pd.Series(words, dtype="str") for name, words in texts.items()},
            },
            columns=list(REJECTED),
        )


def nothing_left(rejected: pd.DataFrame) -> InputError:
    """Return the error of a table without a usable row."""
    counts = rejected["code"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    listed = ", ".join(f"{code} {count}" for code, count in counts.items())
    first = rejected.iloc[0]
    return InputError(
        "nothing_left", f"no row can be used ({listed}); the first, row {first['row']}: {first['sentence']}"
    )


def _json(row: dict[str, object]) -> str:
    plain = {name: None if _is_missing(value) else str(value) for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)
