from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from core.serving.service_error import ServiceError, ServiceReasons

TABLE = ServiceReasons("a request", {"field_odd": (418, "{param} is {value}")})


def test_an_error_passes_between_processes() -> None:
    error = pickle.loads(pickle.dumps(ServiceError(429, "a", "b.", "c", {"Retry-After": "3"})))
    assert (error.status, error.code, error.sentence, error.param) == (429, "a", "b.", "c")
    assert error.headers == {"Retry-After": "3"}


def test_a_table_gives_status_sentence_field_and_headers() -> None:
    error = TABLE("field_odd", param="what", value=7, headers={"Retry-After": "1"})
    assert type(error) is ServiceError
    assert (error.status, error.code, error.sentence, error.param) == (418, "field_odd", "what is 7", "what")
    assert error.headers == {"Retry-After": "1"}
    with pytest.raises(KeyError):
        TABLE("field_even")


def test_tables_need_no_http_package() -> None:
    code = "import sys, core.serving.reasons; print('fastapi' in sys.modules or 'starlette' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
