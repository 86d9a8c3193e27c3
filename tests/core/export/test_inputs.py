from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from core.errors import InputError
from core.export.inputs import Given, require_valid
from core.export.ports import Port
from tests.core.export.artifacts import artifact


def given(shape: Sequence[int], low: float = 0.0, high: float = 1.0, dtype: str = "float32") -> Given:
    return Given(dtype, shape, lambda: (low, high))


X = given((2, 1, 8, 16))
SCALE = given((2,), dtype="int64")


def test_what_the_network_takes_passes() -> None:
    require_valid(artifact(), [X, SCALE])
    require_valid(artifact(), [given((8, 1, 64, 64), -1.0, 1.0), given((8,), -1e9, 1e9, dtype="int64")])


@pytest.mark.parametrize(
    ("inputs", "code", "sentence"),
    [
        ((X,), "predict_count", "blur takes 2 inputs (x, scale), not 1"),
        ((X, given((2,))), "predict_type", "blur: scale is of type float32, not int64"),
        ((given((2, 8, 16)), SCALE), "predict_rank", "blur: x has 3 dimensions, not 4 (B, 1, H, W)"),
        ((given((2, 1, 9, 16)), SCALE), "predict_size", "x is 9 along H, which takes 8 to 64 in steps of 8"),
        ((given((2, 3, 8, 16)), SCALE), "predict_size", "x is 3 along dimension 1, which takes 1"),
        ((given((0, 1, 8, 16)), SCALE), "predict_size", "x is 0 along B, which takes 1 to 8"),
        ((X, given((3,), dtype="int64")), "predict_differs", "B is 2 in one input and 3 in scale"),
        ((given((2, 1, 8, 8), math.nan, math.nan), SCALE), "predict_not_finite", "not finite"),
        ((given((2, 1, 8, 8), 0, math.inf), SCALE), "predict_not_finite", "not finite"),
        ((given((2, 1, 8, 8), -1.5, 0), SCALE), "predict_range", "from -1.5 to 0, outside -1 to 1"),
    ],
)
def test_other_inputs_are_refused(inputs: tuple[Given, ...], code: str, sentence: str) -> None:
    with pytest.raises(InputError) as raised:
        require_valid(artifact(), inputs)
    assert raised.value.code == code
    assert sentence in raised.value.sentence


def test_values_of_booleans_are_not_looked_at() -> None:
    ports = (Port("mask", (3,), "bool"),)
    require_valid(artifact(inputs=ports), [Given("bool", (3,), lambda: (math.nan, math.nan))])
