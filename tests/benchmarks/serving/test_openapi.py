"""The short twin of ten minutes: each service is asked at random by its own OpenAPI, and nothing breaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.serving.openapi import run
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_sd15
from tests.apps.nodule.inputs import fresh_weights
from tests.core.export.exported import exported

pytestmark = pytest.mark.e2e


def nodule(folder: Path) -> str:
    return f"weights={fresh_weights(folder / 'w.safetensors')}"


def imagegen(folder: Path) -> str:
    return f"weights={tiny_sd15(folder / 'sd15')}"


def models(_: Path) -> str:
    return f"artifacts={exported()} runtime=torchscript"


def risk(_: Path) -> str:
    return ""


@pytest.mark.parametrize("words", [nodule, risk, imagegen, models])
def test_random_requests_break_nothing(tmp_path: Path, words: Callable[[Path], str]) -> None:
    result = run(words.__name__, "4", words(tmp_path))
    assert result["requests"] > 20
    assert (result["broken"], result["faults_logged"], result["ready_afterwards"]) == (0, 0, True), result[
        "failures"
    ]


def test_a_service_that_does_not_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did not start"):
        run("nodule", "4", f"weights={tmp_path / 'none.safetensors'}")
