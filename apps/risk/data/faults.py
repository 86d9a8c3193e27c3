"""Which rows are set aside, and the table of them; the reasons are in apps.risk.reasons.ROWS.

Legend: R rows of the input, J rows refused.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from apps.risk.data.columns import FAULT, Columns
from apps.risk.reasons import INPUTS, ROWS
from core.errors import InputError

REJECTED = ("row", "code", "column", "sentence", "entity", "content")


class Faults:
    """The first fault of each row. number_R: 0 where there is none, else a number of `causes`."""

    def __init__(self, size: int) -> None:
        self.number_R = np.zeros(size, dtype=np.int16)
        self.causes: list[tuple[str, str]] = [("", "")]

    def add(self, code: str, column: str, mask_R: np.ndarray) -> None:
        """Note a fault where the mask says so and no earlier one was found."""
        if mask_R.any():
            self.number_R[mask_R & (self.number_R == 0)] = len(self.causes)
            self.causes.append((code, column))

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
        if not len(row_J):
            return _none().copy()
        causes = [self.causes[number] for number in self.number_R[row_J]]
        earlier_J = np.cumsum(later_R)[row_J]
        names = [*columns.all, *([FAULT] if FAULT in table else [])]
        written = table[names].iloc[row_J].to_dict(orient="records")
        if unread is not None:
            for index in np.flatnonzero(unread[0][row_J]):
                written[index] = {
                    name: value for name, value in written[index].items() if name not in unread[1]
                }
        texts = {
            "code": [code for code, _ in causes],
            "column": [column for _, column in causes],
            "sentence": [ROWS.sentence(code, column=column) for code, column in causes],
            "entity": np.array([*entity[1], None], dtype=object)[entity[0][row_J]],
            "content": [_json(row) for row in written],
        }
        return _table((row_J - earlier_J).astype(np.int64), texts)


def nothing_left(rejected: pd.DataFrame) -> InputError:
    """Return the error of a table without a usable row."""
    counts = rejected["code"].value_counts(sort=False).sort_values(ascending=False, kind="stable")
    listed = ", ".join(f"{code} {count}" for code, count in counts.items())
    first = rejected.iloc[0]
    return INPUTS("nothing_left", listed=listed, row=first["row"], sentence=first["sentence"])


def _table(row_J: np.ndarray, texts: Mapping[str, object]) -> pd.DataFrame:
    words = {name: pd.Series(texts[name], dtype="str") for name in REJECTED[1:]}
    return pd.DataFrame({"row": row_J, **words})


@functools.cache
def _none() -> pd.DataFrame:
    """Return the table of no refused row: pandas takes as long for it as for one of many rows."""
    return _table(np.zeros(0, dtype=np.int64), {name: [] for name in REJECTED[1:]})


def _json(row: dict[str, object]) -> str:
    plain = {name: None if _is_missing(value) else str(value) for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False)


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value)
