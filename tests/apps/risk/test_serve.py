"""The stage: what it refuses to start with, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.config import RiskConfig, ServeConfig
from apps.risk.serve import run
from core.errors import InputError
from core.runs.folder import Run
from core.serving.server import bind


def test_weights_and_keys_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    record = Run(tmp_path / "run")
    with record.log:
        with pytest.raises(InputError) as caught:
            run(RiskConfig(stage="serve", port=0, weights=str(tmp_path)), record)
        assert caught.value.code == "weights_missing"
        serve = ServeConfig(keys=str(tmp_path / "none.json"))
        with pytest.raises(InputError) as caught:
            run(RiskConfig(stage="serve", port=0, serve=serve), record)
        assert caught.value.code == "keys_missing"


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    record = Run(tmp_path / "run")
    with (
        record.log,
        bind("127.0.0.1", 0) as taken,
        pytest.raises(InputError, match="is taken by another program"),
    ):
        run(RiskConfig(stage="serve", port=taken.getsockname()[1]), record)
