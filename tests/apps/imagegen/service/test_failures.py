from __future__ import annotations

import pytest

from apps.imagegen.errors import Cancelled
from apps.imagegen.reasons import ADAPTER, PICTURE, RECIPE
from apps.imagegen.service.failures import failure_of, refusal_of
from core.errors import InputError, InternalFault


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Cancelled("cancelled", "s"), 503, "cancelled"),
        (InternalFault("picture_not_finite", "s"), 500, "picture_not_finite"),
        (ValueError("secret"), 500, "drawing_failed"),
        (None, 500, "drawing_failed"),
    ],
)
def test_a_picture_that_failed_answers_without_words_of_the_fault(
    error: BaseException | None, status: int, code: str
) -> None:
    answer = failure_of(error)
    assert (answer.status, answer.code) == (status, code)
    assert "secret" not in answer.sentence


@pytest.mark.parametrize(
    ("error", "param"),
    [
        (RECIPE("prompt_empty", param="prompt"), "prompt"),
        (RECIPE("prompt_too_long", param="negative", characters=3000, most=2000), "negative_prompt"),
        (PICTURE("image_empty", param="mask"), "mask"),
        (ADAPTER("adapter_empty", param="adapter", name="clay"), "adapter"),
        (InputError("input_missing", "s"), None),
    ],
)
def test_a_refusal_names_the_field_of_the_request(error: InputError, param: str | None) -> None:
    for answer in (refusal_of(error), failure_of(error)):
        assert (answer.status, answer.code, answer.sentence) == (400, error.code, error.sentence)
        assert answer.param == param
