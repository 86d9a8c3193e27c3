from __future__ import annotations

import pickle

import pytest

from apps.imagegen.errors import AdapterError, FieldError, PictureError, QueueFull, RecipeError
from core.errors import ExitCode, InputError


@pytest.mark.parametrize("error_type", [RecipeError, PictureError, AdapterError])
def test_they_name_the_field_and_survive_a_process_border(error_type: type[FieldError]) -> None:
    error = pickle.loads(pickle.dumps(error_type("steps_range", "too many", "steps")))
    assert type(error) is error_type
    assert (error.code, error.sentence, error.param) == ("steps_range", "too many", "steps")
    assert isinstance(error, InputError)
    assert error.exit_code == ExitCode.BAD_INPUT


def test_a_full_queue_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(QueueFull("queue_full", "full", 3.5)))
    assert (error.code, error.sentence, error.retry_after_s) == ("queue_full", "full", 3.5)
