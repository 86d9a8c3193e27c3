from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import httpx
import pytest

from core.runs.folder import Run
from core.serving.models_config import ModelsConfig
from core.serving.serve_models import run
from tests.core.serving.exports import BLUR, MIX, SPIN, folder

pytestmark = pytest.mark.slow


def test_it_serves_the_networks_of_its_folders_until_a_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process: it asks itself from a thread, then gives itself the signal."""
    seen: dict[str, object] = {}

    def ask(url: str, *, keys: bool) -> None:
        def work() -> None:
            with httpx.Client(base_url=url, timeout=20) as to:
                seen["names"] = sorted(one["name"] for one in to.post("/v2/repository/index").json())
                seen["keyless"] = to.get(f"/v2/models/{BLUR}").status_code
                seen["keys"] = keys
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=work).start()

    monkeypatch.setattr("core.serving.server.announce", ask)
    config = ModelsConfig(artifacts=f"{folder()},", port=0, threads=1)
    record = Run(tmp_path / "run")
    with record.log:
        assert run(config, record) == 0
    assert seen == {"names": sorted((BLUR, MIX, SPIN)), "keyless": 200, "keys": False}
    events = [json.loads(line)["event"] for line in record.log.path.read_text().splitlines()]
    assert events.count("request") == 2
