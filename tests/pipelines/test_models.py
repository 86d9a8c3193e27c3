"""The entry point of the server of exported networks: one line for each exit code, and wrong words refused at once."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from core.export.manifest import NAME
from core.serving.models_config import STAGES as NAMES
from pipelines.models import STAGES, main
from tests.core.serving.exports import folder


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_stages_and_schema_agree() -> None:
    assert list(STAGES) == list(NAMES)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "artifacts"),
        (["artifacts=none"], "none holds no manifest.json: name a folder that stage=export made"),
        (["artifacts=one,two", "runtime=triton"], "runtime=triton is not one of auto, torch_export"),
        (["artifacts=none", "ports=1"], 'unknown field "ports"; did you mean "port"?'),
        (["artifacts=none", "serve.grace=-1"], "serve.grace"),
        (["artifacts=none", "serve.keys=none"], "serve.keys=none"),
        (["artifacts=none", "serve.metrics=admin"], "serve.metrics"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    words: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, line = capfd.readouterr()
    assert out == ""
    assert line.startswith("triptych-models: ")
    assert line.count("\n") == 1
    assert said in line


def test_a_port_that_is_taken_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([f"artifacts={folder()}", f"port={port}"]) == 2
    line = capfd.readouterr().err
    assert line == (
        f"triptych-models: port {port} of 127.0.0.1 is taken by another program: choose another, or 0 for a free one\n"
    )


@pytest.mark.slow
def test_a_network_that_cannot_be_loaded_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder(), copy)
    (copy / "torchscript" / "mix.pt").write_bytes(b"other weights")
    assert main([f"artifacts={copy}", "port=0", "threads=1"]) == 2
    line = capfd.readouterr().err
    assert line.startswith(
        f"triptych-models: {copy / 'torchscript' / 'mix.pt'} is not the file that was exported"
    )
    assert line.count("\n") == 1


def test_a_manifest_that_leads_elsewhere_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder(), copy)
    content = json.loads((copy / NAME).read_text())
    content["artifacts"][0]["files"][0]["path"] = "../outside.pt"
    (copy / NAME).write_text(json.dumps(content))
    assert main([f"artifacts={copy}", "port=0"]) == 2
    assert "names the file ../outside.pt, which lies outside its folder\n" in capfd.readouterr().err
