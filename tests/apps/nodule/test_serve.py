"""stage=serve of the detector in this process: where it cannot listen; tests/e2e has the command."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from apps.nodule.config import NoduleConfig
from apps.nodule.serve import run
from core.errors import InputError
from core.runs.folder import Run


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    record = Run(tmp_path / "run", stage="serve")
    with record.log, socket.create_server(("127.0.0.1", 0)) as taken:
        config = NoduleConfig("serve", port=taken.getsockname()[1])
        with pytest.raises(InputError) as caught:
            run(config, record)
    assert caught.value.code == "port_taken"
