"""stage=export model=retinanet: MONAI's network leaves in other formats, and the detector runs on what was exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.config import DataConfig, ExportConfig, ModelConfig, NoduleConfig
from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.development import DevelopmentScan
from apps.nodule.data.training.scenes import Scene
from apps.nodule.export import run
from apps.nodule.export_retinanet import cost_of, cut_of, retinanet_network, volume_of
from apps.nodule.models.build import build_detector
from apps.nodule.models.retinanet import RetinaNetDetector
from core.errors import ConfigError, ExitCode, InputError
from core.export.formats import FORMATS
from core.export.manifest import read_manifest
from core.runs.folder import Run
from tests.apps.nodule.development import COARSE_MM, some_slices
from tests.apps.nodule.models.spots import spot_finder, volume_with_ball

SMALL = ({"X": 32, "Y": 32, "Z": 16}, {"X": 48, "Y": 32, "Z": 24})
NAMES = [f"{kind}_{level}" for kind in ("logits", "boxes") for level in range(3)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bundle") / "model.pt"
    torch.save(spot_finder(), path)
    return str(path)


@pytest.fixture(scope="module")
def exported(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    config = NoduleConfig(
        "export",
        model=ModelConfig(name="retinanet"),
        weights=weights,
        output=str(folder / "out"),
        formats=["openvino", "torchserve"],
        data=DataConfig(source="phantoms", phantoms=1, anatomy_mm=COARSE_MM, cache=str(folder / "cache")),
        export=ExportConfig(scans=1),
    )
    with pytest.MonkeyPatch.context() as patch, (record := Run(folder / "run", stage="export")).log:
        patch.setattr("apps.nodule.export.development_scans", some_slices)
        patch.setattr("apps.nodule.export_retinanet.SIZES", SMALL)
        patch.setattr("apps.nodule.export_retinanet.CROP", (32, 32, 16))
        patch.setattr("apps.nodule.export_retinanet.CUT_MM", (30, 33, 33))
        assert run(config, record) == ExitCode.DONE
    return folder / "out"


def test_the_network_is_there_with_all_its_maps(exported: Path) -> None:
    manifest = read_manifest(exported)
    (artifact,) = manifest.artifacts
    assert (manifest.app, artifact.network, artifact.format) == ("nodule", "retinanet", "openvino")
    assert [port.name for port in artifact.outputs] == NAMES
    assert artifact.error <= 1e-4
    assert {case.inputs for case in artifact.cases} == {"random", "real"}
    assert {tuple(case.sizes.values()) for case in artifact.cases} == {(32, 32, 16), (48, 32, 24)}
    metric = artifact.metrics["CPM"]
    assert metric.before > 0
    assert metric.after == pytest.approx(metric.before, abs=0.005)
    assert "1 parts of generated chests, 33 × 33 × 30 mm" in manifest.task
    assert [(one.format, one.why) for one in manifest.absent] == [
        ("torchserve", "its handler is the compact detector's")
    ]


def test_the_detector_finds_the_same_on_what_was_exported(exported: Path, weights: str) -> None:
    volume, centre = volume_with_ball("axial", (26, 42, 46), (7, 23, 13))
    model = ModelConfig(name="retinanet", tile=48)  # six tiles
    of_pytorch = build_detector(model, weights)
    on_artifacts = build_detector(model, weights, str(exported), "openvino")
    assert on_artifacts.version == f"{of_pytorch.version}+openvino"
    eager, other = of_pytorch.detect(volume).candidates, on_artifacts.detect(volume).candidates
    assert len(eager) == len(other) > 0
    assert np.linalg.norm(np.array(other[0].centre_mm) - centre) < 4.0
    sure = [one for one in eager if one.probability > 0.1]
    assert sure
    # these weights let group norms divide by next to nothing, which enlarges the last bits
    assert [one.probability for one in other] == pytest.approx([one.probability for one in eager], abs=2e-3)
    for one in sure:
        same = min(other, key=lambda two: float(np.linalg.norm(np.subtract(one.centre_mm, two.centre_mm))))
        assert np.allclose(one.centre_mm, same.centre_mm, atol=0.05)
        assert one.diameter_mm == pytest.approx(same.diameter_mm, rel=1e-2)


def test_a_tile_that_the_network_does_not_take_is_refused(exported: Path, weights: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"makes tiles of 8 voxels along Z, and the network in .* takes 16 to 4096 in steps of 8",
    ):
        build_detector(ModelConfig(name="retinanet", tile=32), weights, str(exported), "openvino")


def test_artifacts_of_the_other_detector_or_other_weights_are_refused(
    exported: Path, weights: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="holds the networks retinanet, not judge, proposal"):
        build_detector(ModelConfig(), None, str(exported), "openvino")
    state = torch.load(weights, weights_only=True)
    state["classification_head.cls_logits.bias"] += 1
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(InputError, match="was exported from other weights"):
        build_detector(ModelConfig(name="retinanet"), str(tmp_path / "other.pt"), str(exported), "openvino")


def test_weights_are_needed() -> None:
    with pytest.raises(ConfigError, match="model=retinanet has no embedded weights: add weights=FILE"):
        NoduleConfig("export", output="o", model=ModelConfig(name="retinanet"))


def scan_with(nodules_mm: np.ndarray) -> DevelopmentScan:
    """A lung of 60 × 200 × 200 mm whose feet, back and right begin at 0, with nodules at LPS positions."""
    hu_DHW = np.full((60, 200, 200), -850, np.float32)
    box = LungBox(PatientGrid(hu_DHW, 1.0, np.zeros(3)), np.ones(hu_DHW.shape, bool))
    return DevelopmentScan(box, nodules_mm, np.full(len(nodules_mm), 6.0))


def test_the_part_with_most_nodules_is_searched() -> None:
    cut = cut_of(scan_with(np.array([[20.0, 20, 20], [150, 150, 30], [180, 160, 10], [120, 190, 50]])))
    assert cut.centres_mm_K3.tolist() == [[150, 150, 30], [180, 160, 10], [120, 190, 50]]
    assert len(cut.diameters_mm_K) == 3
    assert cut.grid.hu_DHW.shape == (60, 90, 90)
    assert cut.grid.origin_mm.tolist() == [105, 105, 0]
    volume = volume_of(cut.grid)
    assert volume.to_world(np.array([[1, 2, 3]])).tolist() == [[108, 107, 1]]
    # 60.8 TFLOP on the bundle's tile of 512 × 512 × 192 voxels of 0.703 × 0.703 × 1.25 mm
    assert cost_of([cut, cut]) == pytest.approx(2 * 60.8 * (60 * 90 * 90) / (360 * 360 * 240), rel=1e-3)


def test_calibration_is_on_crops_of_lungs_in_the_networks_own_grid(weights: str) -> None:
    hu_DHW = np.full((70, 120, 120), -850, np.int16)
    hu_DHW[:, :, :60] = 40  # the patient's right
    nothing = np.zeros((0, 3))
    scene = Scene(hu_DHW, nothing, np.zeros(0), nothing, nothing, accepts=False)
    network = retinanet_network(RetinaNetDetector(weights, device="cpu"), [], lambda: [scene])
    assert network.calibration is not None
    crops = [image for (image,) in network.calibration()]
    assert len(crops) == 32
    assert {tuple(image.shape) for image in crops} == {(1, 1, 64, 64, 32)}
    edges = [image for image in crops if image.std() > 0.1]
    assert edges
    for image in edges:
        # X runs to the patient's right
        assert image[0, 0, -1].mean() == pytest.approx((40 + 1024) / 1324, abs=1e-3)
        assert image[0, 0, 0].mean() == pytest.approx((1024 - 850) / 1324, abs=1e-3)


def test_it_is_declared_as_every_format_needs_it(weights: str) -> None:
    network = retinanet_network(RetinaNetDetector(weights, device="cpu"), [], list)
    assert not any(module.training for module in network.module.modules())  # TorchScript freezes no other
    assert set(network.not_applicable) == {"executorch", "tensorrt", "torchserve"} < set(FORMATS)
