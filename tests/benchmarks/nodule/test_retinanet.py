"""The record of MONAI's RetinaNet: every format beside PyTorch, on generated chests and a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.development import DevelopmentScan
from apps.nodule.data.volume_files import write_volume_file
from benchmarks.nodule import retinanet
from benchmarks.nodule.retinanet import cosine, lowest_cosines, measure_retinanet
from core.errors import InputError
from core.export.formats import FORMATS
from tests.apps.nodule.bodies import Body, affine_around, orientation, scan_of

SHAPE = (32, 50, 66)


def chests(count: int, _cache: Path) -> list[DevelopmentScan]:
    hu_DHW = np.random.default_rng(0).normal(-700, 200, (60, 60, 60)).astype(np.float32)
    box = LungBox(PatientGrid(hu_DHW, 1.0, np.zeros(3)), np.ones(hu_DHW.shape, bool))
    return [DevelopmentScan(box, np.full((1, 3), 30.0), np.full(1, 6.0)) for _ in range(count)]


def test_each_format_is_compared_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retinanet, "development_scans", chests)
    monkeypatch.setattr(retinanet, "installed", lambda: [FORMATS["torch_export"], FORMATS["triton"]])
    for name, value in (("CHESTS", 1), ("EDGE", 32), ("TILE", (48, 32, 16)), ("TURNS", 1)):
        monkeypatch.setattr(retinanet, name, value)
    body = Body(lung_mm=(40.0, 30.0, 40.0))
    volume = scan_of(body, affine_around(orientation("axial", (3.0, 3.0, 3.0)), SHAPE, (0, 0, 0)), SHAPE)
    (tmp_path / "scan").mkdir()
    write_volume_file(volume, tmp_path / "scan" / "body.nii.gz")
    record = measure_retinanet(tmp_path / "cache", tmp_path / "scan")
    assert list(record["formats"]) == ["torch_export"]
    one = record["formats"]["torch_export"]
    assert one["error"] == 0
    assert one["cosine"] == {"generated": [1.0] * 6, "real": [1.0] * 6}
    assert one["MB"] > 80
    assert one["ratio"] > 0
    assert list(record["tile_seconds"]) == ["pytorch", "torch_export"]
    assert set(record["absent"]) == {"executorch", "tensorrt", "torchserve"}
    assert record["headline"]["torch_export"].endswith("cosine ≥ 1.0000")
    assert "the bundle's are not part of this suite" in record["weights_are"]
    assert next((tmp_path / "cache" / "retinanet").rglob("*.pt2")).is_file()  # kept for the next time


def test_a_folder_without_a_scan(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("none")
    with pytest.raises(InputError, match="holds no series that is accepted"):
        retinanet.load_first(tmp_path)


def test_a_bias_alone_makes_no_likeness() -> None:
    generator = torch.Generator().manual_seed(0)
    bias, one, other = -9.0, *(torch.randn((1, 2, 8, 8, 8), generator=generator) for _ in range(2))
    assert cosine(one, 2 * one) == pytest.approx(1.0)
    pairs = [((one + bias,), (other + bias,)), ((one + bias,), (one + bias,))]
    assert lowest_cosines(pairs, centred=False)[0] > 0.98
    assert abs(lowest_cosines(pairs, centred=True)[0]) < 0.1
