"""An archive for TorchServe: TorchServe's documented layout, all networks or none, the same bytes twice."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.export.formats import chosen
from core.export.manifest import Manifest, read_manifest, verified
from core.export.predictor import open_artifact
from core.export.publish import publish
from core.export.task import Metric, Task
from core.export.to_torchserve import Archive, load, pack
from tests.core.export.exported import TASK
from tests.core.export.networks import network, samples


def archive(folder: Path) -> Archive:
    handler = folder / "handle.py"
    handler.write_text("class Handler: ...\n")
    return Archive(
        "toy", "1.5", handler, {"settings.json": b"{}", "config.yaml": b"batchSize: 1\n"}, "config.yaml"
    )


def exported(folder: Path, second: object = None, task: Task = TASK) -> Manifest:
    networks = [network(), replace(network(), name="other", **(second or {}))]  # type: ignore[arg-type]
    return publish(
        networks, task, chosen(["torchserve"]), folder / "out", app="toy", model="a", archive=archive(folder)
    )


def test_one_archive_holds_every_network_and_what_the_app_declares(tmp_path: Path) -> None:
    manifest = exported(tmp_path)
    assert not manifest.absent
    assert [[file.path for file in one.files] for one in manifest.artifacts] == [
        ["torchserve/blur.pt", "torchserve/toy.mar"],
        ["torchserve/other.pt", "torchserve/toy.mar"],
    ]
    assert read_manifest(tmp_path / "out") == manifest
    with zipfile.ZipFile(tmp_path / "out" / "torchserve" / "toy.mar") as packed:
        assert packed.testzip() is None
        assert set(packed.namelist()) == {
            "MAR-INF/MANIFEST.json", "handle.py", "settings.json", "config.yaml", "blur.pt", "other.pt",
        }  # fmt: skip
        # the fields of model-archiver's own manifest
        assert json.loads(packed.read("MAR-INF/MANIFEST.json")) == {
            "runtime": "python",
            "model": {
                "modelName": "toy",
                "modelVersion": "1.5",
                "handler": "handle.py",
                "configFile": "config.yaml",
            },
            "archiverVersion": "0.12.0",
        }
        packed.extract("blur.pt", tmp_path)
    (hu,) = next(samples(1))
    with torch.no_grad():
        assert torch.allclose(load(tmp_path / "blur.pt", 1)(hu)[0], network().module(hu), atol=1e-6)
    for one in manifest.artifacts:
        assert one.bytes == sum((tmp_path / "out" / file.path).stat().st_size for file in one.files)
        assert verified(one, tmp_path / "out").suffix == ".pt"
        assert isinstance(open_artifact(one, tmp_path / "out")(hu), torch.Tensor)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / "blur.pt"]
    files[0].write_bytes(bytes(1000))
    first = pack(archive(tmp_path), files, tmp_path).read_bytes()
    (tmp_path / "toy.mar").unlink()
    assert pack(archive(tmp_path), files, tmp_path).read_bytes() == first


class OneSize(torch.nn.Module):
    """It fails at any other size than that of the example."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(2, 2, 16, 12).repeat(1, 1, 1, 2)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"not_applicable": {"torchserve": "it has no pictures"}}, "it has no pictures"),
        ({"module": OneSize()}, None),
    ],
)
def test_without_one_of_its_networks_there_is_no_archive(
    tmp_path: Path, second: dict[str, object], why: str | None
) -> None:
    manifest = exported(tmp_path, second)
    assert not manifest.artifacts
    whys = {one.network: (one.status, one.why) for one in manifest.absent}
    assert whys["blur"] == ("refused", "the archive lacks other")
    assert whys["other"][0] == ("not applicable" if why else "refused")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == []


def test_what_costs_too_much_of_the_task_is_not_packed(tmp_path: Path) -> None:
    score = Metric("score", "", "higher", 0.005)
    task = Task("", (score,), lambda networks: {"score": 0.5 if networks else 0.8})
    assert not exported(tmp_path, task=task).artifacts
    assert not list((tmp_path / "out").rglob("*.mar"))


def test_an_app_without_a_handler_says_so(tmp_path: Path) -> None:
    manifest = publish([network()], TASK, chosen(["torchserve"]), tmp_path / "out", app="toy", model="a")
    (absent,) = manifest.absent
    assert (absent.status, absent.why) == ("not applicable", "the application has no handler for TorchServe")
