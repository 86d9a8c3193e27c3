"""The application: what it is made of, and that it starts its processes itself; tests/e2e has the whole command."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.nodule.config import NoduleConfig
from apps.nodule.service.app import build
from core.errors import InputError
from core.runs.folder import Run
from core.serving.keys import READ, KeyRing, new_key
from core.serving.server import served


def test_its_routes_are_described(tmp_path: Path) -> None:
    with (run := Run(tmp_path, stage="serve")).log:
        paths = build(NoduleConfig("serve"), run).openapi()["paths"]
    assert {path: list(methods) for path, methods in paths.items()} == {
        "/v1/studies": ["post"],
        "/v1/model": ["get"],
    }
    assert {"200", "406", "413", "415", "422", "429", "503", "504"} <= paths["/v1/studies"]["post"][
        "responses"
    ].keys()
    assert "application/zip" in paths["/v1/studies"]["post"]["requestBody"]["content"]


def test_a_detector_that_cannot_be_built_ends_the_service(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    config = NoduleConfig("serve", weights=str(tmp_path / "w.safetensors"))
    run = Run(tmp_path / "run", stage="serve")
    with run.log, pytest.raises(InputError) as caught, served(build(config, run)):
        pass
    assert caught.value.code == "weights_unfit"


def test_it_asks_for_keys_where_it_is_given_some(tmp_path: Path) -> None:
    with (run := Run(tmp_path, stage="serve")).log:
        new_key(tmp_path / "keys.json", "ward", READ)
        app = build(NoduleConfig("serve"), run, KeyRing(tmp_path / "keys.json"))
    assert app.state.asks_for_keys
    assert "401" in app.openapi()["paths"]["/v1/studies"]["post"]["responses"]
