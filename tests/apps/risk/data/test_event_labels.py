"""Labels of an event in the ways that tables write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from apps.risk.data.event_labels import event_numbers

NAN = float("nan")


def read(
    cells: list[Any], dtype: Any = object, counts: list[bool] | None = None
) -> tuple[list[float], list[bool]]:
    result = event_numbers(pd.Series(cells, dtype=dtype), np.array(counts or [True] * len(cells)))
    return result.value_R.tolist(), result.bad_R.tolist()


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        ([1, 0, None], "Int64"),
        ([1.0, 0.0, NAN], float),
        ([True, False, None], object),
        ([True, False, None], "boolean"),
        (["True", "False", ""], "str"),
        (["true", " FALSE ", None], object),
        (["yes", "no", "NA"], object),
        (["Y", "N", None], object),
        (["t", "f", None], object),
        (["1", "0", None], "str"),
        ([1, -1, None], "Int64"),
        (["1", "-1", ""], "str"),
        (["+1", "\u22121", None], object),
    ],
)
def test_each_way_to_write_it_means_the_same(cells: list[Any], dtype: Any) -> None:
    values, bad = read(cells, dtype)
    np.testing.assert_array_equal(values, [1.0, 0.0, NAN])
    assert bad == [False] * 3


def test_other_words_are_no_label() -> None:
    values, bad = read(["good", "default", "maybe", "1", "2"])
    np.testing.assert_array_equal(values, [NAN, NAN, NAN, 1.0, 2.0])
    assert bad == [True, True, True, False, False]


def test_minus_one_beside_a_nought_is_left_to_be_refused() -> None:
    """It may mean that nothing is known: a row with 0 that is not there yet says nothing of it."""
    assert read([1, -1, 0])[0] == [1.0, -1.0, 0.0]
    assert read([1, -1, 0], counts=[True, True, False])[0] == [1.0, 0.0, 0.0]


def test_that_minus_one_was_read_as_nought_is_said() -> None:
    cells = pd.Series([1, -1, -1])
    notes = event_numbers(cells, np.ones(3, dtype=bool)).notes("default", cells, np.ones(3, dtype=bool))
    assert notes == ["2 of 3 values of default are -1, and read as 0 (the event did not happen)"]
