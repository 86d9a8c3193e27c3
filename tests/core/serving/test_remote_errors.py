from __future__ import annotations

import json

import pytest

from core.errors import ConfigError, InputError, InternalFault, ItemRefused, OutputError, TriptychError
from core.serving.reasons import LIMITS
from core.serving.remote_errors import described, rebuilt


class SpecialError(InputError):
    param = "x"


@pytest.mark.parametrize(
    "error_class", [ConfigError, InputError, InternalFault, ItemRefused, OutputError, SpecialError]
)
def test_an_error_arrives_with_its_place_in_the_tree(error_class: type[TriptychError]) -> None:
    error = rebuilt(json.loads(json.dumps(described(error_class("some_code", "A sentence")))))
    assert (error.code, error.sentence, error.exit_code) == ("some_code", "A sentence", error_class.exit_code)
    assert type(error) in error_class.__mro__
    assert getattr(error, "param", None) == getattr(error_class, "param", None)


def test_an_answer_keeps_its_status_and_headers() -> None:
    sent = LIMITS("body_too_large", most=5, param="data", headers={"Retry-After": "1"})
    got = rebuilt(json.loads(json.dumps(described(sent))))
    assert vars(got) == vars(sent)
