"""stage=export: both networks leave in other formats, and the detector runs on what was exported."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.config import DataConfig, ExportConfig, ModelConfig, NoduleConfig
from apps.nodule.data.training.development import DevelopmentScan, development_scans
from apps.nodule.export import cpm, networks_of, run
from apps.nodule.models.build import build_detector
from apps.nodule.models.compact_detector import load_compact
from apps.nodule.models.findings import Candidate
from core.errors import ConfigError, ExitCode, InputError
from core.export.formats import chosen
from core.export.manifest import read_manifest
from core.export.publish import publish
from core.export.task import Task
from core.runs.folder import Run
from tests.apps.nodule.development import COARSE_MM, some_slices
from tests.apps.nodule.inputs import fresh_weights
from tests.apps.nodule.models.spots import spot_finder
from tests.benchmarks.nodule.small import lung
from tests.core.export.own_process import in_own_process, need_executorch

FORMATS = ["torchscript", "openvino", "torchserve"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    data = DataConfig(source="phantoms", phantoms=1, anatomy_mm=COARSE_MM, cache=str(folder / "cache"))
    config = NoduleConfig(
        "export", output=str(folder / "out"), formats=FORMATS, data=data, export=ExportConfig(scans=1)
    )
    with pytest.MonkeyPatch.context() as patch, (record := Run(folder / "run", stage="export")).log:
        patch.setattr("apps.nodule.export.development_scans", some_slices)
        assert run(config, record) == ExitCode.DONE
    return folder / "out"


def test_the_manifest_has_both_networks_in_each_format(exported: Path) -> None:
    manifest = read_manifest(exported)
    assert manifest.app == "nodule"
    assert not manifest.absent
    assert {(one.network, one.format) for one in manifest.artifacts} == {
        (network, name) for network in ("proposal", "judge") for name in FORMATS
    }
    for one in manifest.artifacts:
        assert one.error <= 1e-4
        assert one.metrics["CPM"].before - one.metrics["CPM"].after <= 0.005
        assert {case.inputs for case in one.cases} == {"random", "real"}
    rows = json.loads((exported.parent / "run" / "metrics.json").read_text())["table"]
    assert len(rows) == len(manifest.artifacts)


def test_the_archive_for_torchserve_is_of_both_networks(exported: Path) -> None:
    archive = "torchserve/nodule.mar"
    held = [one.files for one in read_manifest(exported).artifacts if one.format == "torchserve"]
    assert [[file.path for file in files] for files in held] == [
        ["torchserve/proposal.pt", archive],
        ["torchserve/judge.pt", archive],
    ]
    with zipfile.ZipFile(exported / archive) as packed:
        assert {"torchserve_handler.py", "detector.json", "proposal.pt", "judge.pt"} < set(packed.namelist())


@pytest.mark.parametrize("runtime", ["torchscript", "openvino"])
def test_the_detector_finds_the_same_on_what_was_exported(exported: Path, runtime: str) -> None:
    (scan,) = some_slices(1, exported.parent / "cache", COARSE_MM)
    assert len(scan.diameters_mm_K)
    of_pytorch = build_detector(ModelConfig(), None)
    on_artifacts = build_detector(ModelConfig(), None, str(exported), runtime)
    assert on_artifacts.version == f"{of_pytorch.version}+{runtime}"
    eager, _ = of_pytorch.nodules(scan.box)  # type: ignore[attr-defined]
    other, _ = on_artifacts.nodules(scan.box)  # type: ignore[attr-defined]
    assert len(eager) == len(other) > 0
    for one, same in zip(eager, other, strict=True):
        assert np.allclose(one.centre_mm, same.centre_mm, atol=1e-3)
        assert one.probability == pytest.approx(same.probability, abs=1e-4)
        assert one.diameter_mm == pytest.approx(same.diameter_mm, rel=1e-4)


def export_for_small_devices(folder: str) -> None:
    nothing = Task("nothing", (), lambda networks: {})
    chest = DevelopmentScan(lung(), np.zeros((0, 3)), np.zeros(0))
    networks = networks_of(load_compact(ModelConfig(device="cpu"), None), [chest], list)
    manifest = publish(
        networks, nothing, chosen(["executorch"]), Path(folder) / "out", app="nodule", model="a"
    )
    assert not manifest.absent
    assert {one.network for one in manifest.artifacts} == {"proposal", "judge"}
    assert max(one.error for one in manifest.artifacts) <= 1e-5
    assert all({case.inputs for case in one.cases} == {"random", "real"} for one in manifest.artifacts)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_networks_run_on_small_devices(tmp_path: Path) -> None:
    need_executorch()
    in_own_process(export_for_small_devices, tmp_path)


def test_artifacts_of_other_weights_are_refused(exported: Path, tmp_path: Path) -> None:
    other = fresh_weights(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="was exported from other weights"):
        build_detector(ModelConfig(), str(other), str(exported), "openvino")


def test_they_are_refused_by_the_other_detector(exported: Path, tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    torch.save(spot_finder(), weights)
    with pytest.raises(InputError, match="holds the networks judge, proposal, not retinanet"):
        build_detector(ModelConfig(name="retinanet"), str(weights), str(exported), "openvino")


def test_what_cannot_be_exported_is_refused() -> None:
    with pytest.raises(ConfigError, match='formats=onxx is not a format: did you mean "onnx"'):
        NoduleConfig("export", output="o", formats=["onxx"])


def test_cpm_is_that_of_the_candidates(tmp_path: Path) -> None:
    (scan,) = development_scans(1, tmp_path, COARSE_MM)
    x, y, z = scan.centres_mm_K3[0]
    sure = Candidate((float(x), float(y), float(z)), float(scan.diameters_mm_K[0]), 0.9)
    assert cpm([scan], [[sure]]) == pytest.approx(1 / len(scan.diameters_mm_K))
    assert cpm([scan], [[]]) == 0
