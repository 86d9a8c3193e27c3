from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.export.manifest import VERSION, Artifact, Manifest, write_manifest
from core.export.ports import Axis, Port
from core.serving.batching import Rows
from core.serving.exported_folder import exported, rows_of
from tests.core.export.artifacts import artifact

SHARPEN = artifact(network="sharpen", inputs=(Port("x", (3,)),), axes=(), rows=None, milliseconds=2.0)


def folder(path: Path, *artifacts: Artifact, **changes: Any) -> Path:
    made = Manifest(
        version=VERSION,
        app="toy",
        model="abc",
        processor="p",
        task="t",
        networks={"blur": "blurs"},
        metrics={},
        artifacts=artifacts,
        absent=(),
    )
    path.mkdir()
    write_manifest(replace(made, **changes), path)
    return path


def formats(*folders: Path, runtime: str = "auto") -> dict[str, str]:
    return {one.name: one.artifact.format for one in exported(folders, runtime)}


def test_each_network_is_served_in_the_fastest_format_that_runs_here(tmp_path: Path) -> None:
    fast = artifact(format="torch_export", milliseconds=0.5)
    faster = artifact(format="aotinductor", milliseconds=0.1, instructions=("avx1024",))
    not_ours = artifact(format="triton", milliseconds=0.1)
    one = folder(tmp_path / "one", artifact(), fast, faster, not_ours)
    two = folder(tmp_path / "two", SHARPEN, networks={"sharpen": "sharpens"}, app="play")
    assert formats(one, two) == {"toy-blur": "torch_export", "play-sharpen": "torchscript"}
    assert formats(one, runtime="torchscript") == {"toy-blur": "torchscript"}
    # what is named is served, or its process says why not
    assert formats(one, runtime="aotinductor") == {"toy-blur": "aotinductor"}


def test_what_is_not_served_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = folder(tmp_path / "one", artifact(), SHARPEN, networks={"blur": "", "sharpen": "", "turn": ""})
    assert formats(one, runtime="torchscript") == {"toy-blur": "torchscript", "toy-sharpen": "torchscript"}
    line = f"note: turn of {one} is not served: it holds nothing of it in torchscript\n"
    assert capfd.readouterr().err == line


@pytest.mark.parametrize(
    ("artifacts", "runtime", "sentence"),
    [
        ([artifact()], "onnx", "holds no network that runs here with runtime=onnx"),
        ([], "auto", "holds no network that runs here with runtime=auto"),
        ([artifact(network="a/b")], "auto", "whose name cannot stand in an address: toy-a/b"),
        (
            [artifact(outputs=(Port("y", (1,), "bfloat16"),))],
            "auto",
            "toy-blur cannot be served: y is of type bfloat16, which requests cannot send",
        ),
    ],
)
def test_what_cannot_be_served_is_refused(
    artifacts: list[Artifact], runtime: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        exported([folder(tmp_path / "one", *artifacts)], runtime)
    assert sentence in raised.value.sentence


def test_one_name_is_served_once(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / name, artifact()) for name in ("one", "two"))
    with pytest.raises(ConfigError, match=r"one and .*two both hold toy-blur"):
        exported([one, two], "auto")


def test_rows_are_joined_only_where_each_is_its_own() -> None:
    assert rows_of(artifact()) == Rows({"x": 0, "scale": 0}, {"y": 0}, 8)
    turned = artifact(
        outputs=(Port("y", (2, "B")),), axes=(Axis("B", 1, 5), Axis("H", 8, 8), Axis("W", 8, 8))
    )
    assert rows_of(turned) == Rows({"x": 0, "scale": 0}, {"y": 1}, 5)
    for changes in (
        {"rows_independent": False},
        {"rows_independent": None},
        {"rows": None},
        {"rows": "C"},
        {"outputs": (Port("y", ("B",)), Port("all", (3,)))},
        {"inputs": (Port("x", ("H", "W")),)},
    ):
        assert rows_of(artifact(**changes)) is None, changes
