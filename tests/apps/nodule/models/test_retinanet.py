"""The bundle's network: equal to MONAI's class, its layer names, weights files, boxes in patient space."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.apps.detection.networks.retinanet_network import RetinaNet
from safetensors.torch import save_file
from torch import Tensor, nn

from apps.nodule.config import ModelConfig
from apps.nodule.models.retinanet import (
    SPACING_MM,
    TILE,
    RetinaNetDetector,
    build_network,
    halved,
    load_network,
    load_retinanet,
    preprocess,
    to_candidates,
)
from core.errors import ConfigError, InputError, ItemRefused
from tests.apps.nodule.models.spots import DIRECTIONS, spot_finder, volume_with_ball
from tests.apps.nodule.models.test_backbone import monai_extractor, randomise

GOLDEN = Path(__file__).parents[3] / "golden" / "monai_lung_nodule_ct_detection.json"


def monai_network(monkeypatch: pytest.MonkeyPatch) -> RetinaNet:
    """The network_def of the bundle's configs/inference.json, from MONAI's own code alone."""
    extractor = monai_extractor(monkeypatch)
    return RetinaNet(
        spatial_dims=3, num_classes=1, num_anchors=3, feature_extractor=extractor, size_divisible=[16, 16, 8]
    )


def test_outputs_equal_monais_class(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = build_network().eval(), monai_network(monkeypatch).eval()
    randomise(ours, seed=3)
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand((1, 1, 32, 32, 16), generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        got, wanted = ours(image), theirs(image)
    for key, channels in (("classification", 3), ("box_regression", 18)):
        assert [tuple(level.shape[1:]) for level in wanted[key]] == [
            (channels, 8, 8, 8),
            (channels, 4, 4, 4),
            (channels, 2, 2, 2),
        ]
        for mine, yours in zip(got[key], wanted[key], strict=True):
            assert yours.std() > 0.1
            torch.testing.assert_close(mine, yours, rtol=0, atol=1e-5)


def test_layer_names_and_shapes_are_the_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    golden = json.loads(GOLDEN.read_text())
    ours = build_network()
    assert {name: list(value.shape) for name, value in ours.state_dict().items()} == golden["tensors"]
    assert len(golden["tensors"]) == 190
    count = sum(value.numel() for value in ours.parameters())
    assert count == golden["parameters"]
    assert round(count / 1e6, 1) == 20.9
    theirs = monai_network(monkeypatch)
    assert {name: list(value.shape) for name, value in theirs.state_dict().items()} == golden["tensors"]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return spot_finder()


@pytest.fixture(scope="module")
def weights(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "model.pt"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_image_is_ras_at_the_bundles_spacing_and_its_affine_leads_back(direction: str) -> None:
    volume, centre = volume_with_ball(direction, (30, 40, 44), (17, 12, 28))
    image, affine = preprocess(volume)
    assert image.shape[0] == 1
    assert image.dtype == torch.float32
    assert np.linalg.norm(affine[:3, :3], axis=0) == pytest.approx(SPACING_MM, abs=1e-6)
    assert (np.diag(affine)[:3] * (-1, -1, 1) > 0).all()  # to the right, to the front, to the head
    assert float(image.min()) == pytest.approx((-850 + 1024) / 1324, abs=1e-4)
    assert float(image.max()) == pytest.approx((40 + 1024) / 1324, abs=1e-4)
    bright = np.argwhere(image[0].numpy() > 0.5).mean(axis=0)
    box = np.concatenate([bright - 3, bright + 3])[None]
    (candidate,) = to_candidates(box, np.array([0.5]), affine)
    assert candidate.centre_mm == pytest.approx(centre, abs=0.4)
    assert candidate.diameter_mm == pytest.approx(6 * np.mean(SPACING_MM), abs=1e-6)


@pytest.mark.parametrize("direction", ["flipped", "oblique"])
def test_a_bright_ball_is_found_where_it_is(direction: str, weights: Path) -> None:
    volume, centre = volume_with_ball(direction, (40, 56, 60), (13, 38, 20))
    detector = RetinaNetDetector(weights, device="cpu")
    candidates = detector.detect(volume).candidates
    assert detector.name == "retinanet"
    assert re.fullmatch("sha256:[0-9a-f]{12}", detector.version)
    assert candidates
    assert [c.probability for c in candidates] == sorted((c.probability for c in candidates), reverse=True)
    # the finest map has a cell every 2.8, 2.8 and 2.5 mm; a wrong flip or axis would be 8 mm or more away
    assert np.linalg.norm(np.array(candidates[0].centre_mm) - centre) < 3.0
    assert candidates[0].diameter_mm == pytest.approx(np.mean(np.array((6, 8, 4)) * SPACING_MM), abs=0.01)


class Cramped(RetinaNetDetector):
    """A machine whose memory holds tiles up to a size: a larger one asks the allocator for a petabyte."""

    def __init__(self, weights: Path, holds: int, tile: tuple[int, int, int] = TILE) -> None:
        super().__init__(weights, device="cpu", tile=tile)
        self.holds, self.tried = holds, list[tuple[int, ...]]()

    def _boxes_by(
        self, image: Tensor, tile: tuple[int, ...], device: torch.device
    ) -> tuple[np.ndarray, np.ndarray]:
        self.tried.append(tile)
        if np.prod(tile) > self.holds:
            torch.empty(1 << 50)
        return super()._boxes_by(image, tile, device)


def test_a_tile_too_large_for_the_memory_is_halved_and_tiles_find_the_ball_too(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.nodule.models.retinanet.SMALLEST_TILE", (48, 48, 16))
    volume, centre = volume_with_ball("axial", (26, 42, 46), (7, 23, 13))
    detector = Cramped(weights, holds=48 * 48 * 16, tile=(192, 192, 72))
    assert np.linalg.norm(np.array(detector.detect(volume).candidates[0].centre_mm) - centre) < 4.0
    assert detector.tried == [(192, 192, 72), (96, 96, 32), (48, 48, 16)]


def test_half_a_tile_still_divides_and_never_grows() -> None:
    assert halved((512, 512, 192)) == (256, 256, 96)
    assert halved((400, 400, 144)) == (192, 192, 72)
    assert halved((192, 192, 72)) == halved((128, 128, 48)) == (128, 128, 48)
    assert halved((96, 96, 32)) == (96, 96, 32)


def test_a_scan_that_fits_no_memory_is_set_aside(weights: Path) -> None:
    volume, _ = volume_with_ball("axial", (26, 42, 46), (7, 23, 13))
    with pytest.raises(ItemRefused, match="does not fit into the memory"):
        Cramped(weights, holds=0).detect(volume)


def test_the_config_builds_it(weights: Path) -> None:
    detector = load_retinanet(
        ModelConfig(name="retinanet", tile=512, device="cpu", threshold=0.4), str(weights)
    )
    assert detector.tile == (512, 512, 192)
    assert (detector.threshold, detector.candidate_threshold, detector.overlap) == (0.4, 0.02, 0.25)
    small = load_retinanet(ModelConfig(name="retinanet", tile=100, device="cpu"), str(weights))
    assert small.tile == (96, 96, 32)
    assert small.threshold == 0.5


def test_without_a_file_the_config_is_wrong() -> None:
    with pytest.raises(ConfigError, match="model=retinanet has no embedded weights: add weights=FILE"):
        RetinaNetDetector(None)


def test_a_tile_the_pyramid_cannot_divide_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"tile is \(100, 128, 64\), wanted multiples of \(16, 16, 8\)"):
        RetinaNetDetector(weights, tile=(100, 128, 64))


@pytest.mark.parametrize("form", ["safetensors", "wrapped", "prefixed", "half"])
def test_other_forms_of_the_same_weights_load(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / ("model.safetensors" if form == "safetensors" else "model.pt")
    if form == "safetensors":
        save_file(state, path)
    elif form == "wrapped":
        torch.save({"model": state, "epoch": 3}, path)
    elif form == "prefixed":
        torch.save({f"module.{name}": value for name, value in state.items()}, path)
    else:
        torch.save({n: v.half() if v.is_floating_point() else v for n, v in state.items()}, path)
    loaded = load_network(path).state_dict()
    assert list(loaded) == list(state)
    rounding = 1e-3 if form == "half" else 0.0
    for name, value in state.items():
        torch.testing.assert_close(loaded[name], value, rtol=rounding, atol=0)
    assert loaded["regression_head.bbox_reg.weight"].dtype == torch.float32


def test_a_file_that_does_not_fit_is_named_with_what_does_not(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    wrong = dict(state)
    del wrong["feature_extractor.body.conv1.weight"]
    wrong["backbone.conv1.weight"] = torch.zeros(1)
    wrong["classification_head.cls_logits.bias"] = torch.zeros(5)
    path = tmp_path / "other.pt"
    torch.save(wrong, path)
    with pytest.raises(InputError) as caught:
        load_network(path)
    assert caught.value.code == "weights_mismatch"
    assert str(caught.value) == (
        f"{path} does not fit MONAI's lung_nodule_ct_detection network: "
        "1 of 190 tensors are missing, first feature_extractor.body.conv1.weight; "
        "1 are unknown, first backbone.conv1.weight; "
        "1 have another shape, first classification_head.cls_logits.bias: (5,), wanted (3,)"
    )


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    text, damaged, number = tmp_path / "text.pt", tmp_path / "damaged.safetensors", tmp_path / "number.pt"
    text.write_text("not weights")
    damaged.write_bytes(b"\x00" * 64)
    torch.save({"epoch": 3}, number)
    with pytest.raises(InputError, match="does not exist or is not a file"):
        load_network(tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"text\.pt is not a valid PyTorch file"):
        load_network(text)
    with pytest.raises(InputError, match="is not a valid safetensors file, or is damaged"):
        load_network(damaged)
    with pytest.raises(InputError, match=r"number\.pt holds no state dict"):
        load_network(number)
    scripted = tmp_path / "model.ts"
    _save_script(scripted)
    with pytest.raises(InputError, match=r"model\.ts is a TorchScript file; wanted a state dict"):
        load_network(scripted)


def _save_script(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(nn.Linear(1, 1)).save(str(path))
