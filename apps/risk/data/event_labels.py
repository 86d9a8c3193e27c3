"""Whether an event happened, as tables write it: 1 and 0, true and false, yes and no, 1 and -1.

Legend: R rows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from apps.risk.data.numerals import Numbers, Style, numbers
from apps.risk.data.parse import distinct

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y"), "1"),
    **dict.fromkeys(("false", "f", "no", "n"), "0"),
}


def event_numbers(values: pd.Series, counts_R: np.ndarray, decimal: str | None = None) -> Numbers:
    """Read 1 where the event happened, 0 where it did not, NaN where nothing is written.

    -1 is 0 in a column that has no 0 in the rows that count (counts_R: bool, those known by the as-of date): the
    labels of classifiers; beside a 0 it may as well mean that nothing is known, and is left for the contract to refuse.
    """
    read = numbers(_spelled(values) if values.dtype.kind not in "biuf" else values, decimal)
    minus_R = read.value_R == -1.0
    if not minus_R.any() or (read.value_R[counts_R] == 0.0).any():
        return read
    return Numbers(
        np.where(minus_R, 0.0, read.value_R),
        read.bad_R,
        read.unclear_R,
        np.where(minus_R, read.style_R | Style.MINUS_ONE, read.style_R).astype(read.style_R.dtype),
    )


def _spelled(values: pd.Series) -> pd.Series:
    """Replace words by what they mean; all else stays as it is written."""
    code_R, objects = distinct(values)
    meant = [_WORDS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell for cell in objects]
    return pd.Series(np.array([*meant, None], dtype=object)[code_R], dtype=object)
