from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import ConfigError
from core.serving.models_config import ModelsConfig
from tests.core.serving.service import ROOT


def test_it_serves_by_itself_with_defaults_that_fit_one_machine() -> None:
    config = ModelsConfig()
    assert (config.stage, config.runtime, config.host, config.port) == ("serve", "auto", "127.0.0.1", 8000)
    assert (config.processes, config.waiting, config.max_batch, config.batch_wait) == (1, 64, 32, 0.0)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("runtime", "triton", "runtime=triton is not one of auto, torch_export"),
        ("processes", 0, "processes"),
        ("timeout", 0.0, "timeout"),
        ("max_batch", 0, "max_batch"),
        ("batch_wait", -1.0, "batch_wait"),
        ("waiting", 0, "waiting"),
        ("threads", 0, "threads"),
    ],
)
def test_other_values_are_refused_by_name(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        ModelsConfig(**{name: value})  # type: ignore[arg-type]
    assert sentence in raised.value.sentence


def test_neither_the_options_nor_the_service_import_torch() -> None:
    code = "import core.serving.serve_models, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
