"""What a request holds, and what each refusal of it says."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from core.serving.forms import json_object, media_type_of, read_form, shown
from core.serving.service_error import ServiceError

EXAMPLE = '{"what": "tea"}'


class Order(BaseModel):
    what: str
    count: int = 1
    size: Literal["small", "large"] = "small"
    share: float | None = None


def test_a_form_has_its_defaults_and_null_counts_as_left_out() -> None:
    assert read_form(Order, {"what": "tea", "count": None, "share": 1}) == Order(what="tea", share=1.0)
    assert read_form(Order, {"what": "tea", "count": "3"}, strict=False).count == 3


@pytest.mark.parametrize(
    ("values", "code", "param", "sentence"),
    [
        ({}, "field_missing", "what", "what is missing"),
        ({"what": 7}, "field_type", "what", "what is 7; it must be a text"),
        ({"what": "tea", "count": "3"}, "field_type", "count", 'count is "3"; it must be a whole number'),
        ({"what": "tea", "count": True}, "field_type", "count", "count is true; it must be a whole number"),
        (
            {"what": "tea", "size": "huge"},
            "field_type",
            "size",
            'size is "huge"; it must be one of small, large',
        ),
        (
            {"what": "tea", "cuont": 3},
            "field_unknown",
            "cuont",
            '"cuont" is not a valid field; the fields are what, count, size, share',
        ),
    ],
)
def test_a_fault_names_its_field(values: dict[str, Any], code: str, param: str, sentence: str) -> None:
    with pytest.raises(ServiceError) as caught:
        read_form(Order, values)
    error = caught.value
    assert (error.status, error.code, error.param, error.sentence) == (400, code, param, sentence)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xff\xfe{\x00}\x00", "body_not_utf8"),
        (b"", "body_not_json"),
        (b"[" * 200_000, "body_not_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "body_not_json"),
        (b'{"a": NaN}', "body_nan"),
        (b'{"a": [-Infinity]}', "body_nan"),
        (b"[1]", "body_not_object"),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        json_object(body, EXAMPLE)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_an_object_is_read_and_nan_where_its_field_judges_it() -> None:
    assert json_object('{"é": [1, null]}'.encode(), EXAMPLE) == {"é": [1, None]}
    assert str(json_object(b'{"a": NaN}', EXAMPLE, nan=True)["a"]) == "nan"
    with pytest.raises(ServiceError, match=r'must be a JSON object such as {"what": "tea"}'):
        json_object(b"7", EXAMPLE)


def test_a_media_type_is_compared_without_its_parameters() -> None:
    assert media_type_of("Text/CSV; charset=utf-8", ("application/json", "text/csv")) == "text/csv"
    with pytest.raises(ServiceError, match="must be sent as application/json or text/csv") as caught:
        media_type_of("", ("application/json", "text/csv"))
    assert caught.value.status == 415


def test_a_quoted_value_is_short_and_ascii() -> None:
    assert shown("\ud800\u202e") == '"\\ud800\\u202e"'
    assert shown("x" * 100) == '"' + "x" * 36 + "…"
    assert shown(object()).startswith("<object object at ")
