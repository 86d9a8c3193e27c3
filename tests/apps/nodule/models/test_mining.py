from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.phantom.contours import load_shapes
from apps.nodule.data.training.scenes import Scene, make_scene
from apps.nodule.data.training.training_set import TrainingSet
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import CompactDetector, Proposals
from apps.nodule.models.mining import CLEAR_MM, MOST_A_SCENE, mine
from core.runs.log import RunLog
from core.training.digests import weights_digest
from tests.apps.nodule.bodies import Ball, Body, small_scan

BALL = Ball((40.0, 5.0, -10.0), 12.0)


def net(seed: int = 0) -> CompactNet:
    """An untrained network that is tempted everywhere."""
    torch.manual_seed(seed)
    network = CompactNet()
    with torch.no_grad():
        network.proposal.head.bias[0] = 0.0
    return network


@pytest.fixture(scope="module")
def box() -> LungBox:
    return lung_box(small_scan(Body(lung_mm=(30.0, 35.0, 40.0), balls=(BALL,))), 1.0)


def material(box: LungBox, *, known: bool = True, scenes: int = 1) -> TrainingSet:
    centres = np.array([BALL.centre_mm]) if known else np.zeros((0, 3))
    diameters = np.array([12.0])[: len(centres)]
    lungs: list[Scene] = [make_scene(box, centres, diameters, accepts=True) for _ in range(scenes)]
    return TrainingSet(lungs, [], [], load_shapes("train"))


def mined(network: CompactNet, samples: TrainingSet, folder: Path) -> list[np.ndarray]:
    with RunLog(folder / "log.jsonl") as log:
        mine(network, samples, folder / "tempting.npz", log)
    return [scene.tempting_K3 for scene in samples.scenes]


def test_what_tempts_lies_in_the_lung_and_clear_of_known_nodules(box: LungBox, tmp_path: Path) -> None:
    known, unknown = material(box), material(box, known=False)
    network = net()
    (clear,), (everywhere,) = mined(network, known, tmp_path), mined(network, unknown, _sub(tmp_path))
    assert network.training
    assert 20 < len(clear) <= len(everywhere) <= MOST_A_SCENE
    assert (clear > -4).all()
    assert (clear < np.array(known.scenes[0].hu_DHW.shape) + 4).all()
    away = np.linalg.norm(everywhere - known.scenes[0].centres_N3[0], axis=1)
    assert np.array_equal(clear, everywhere[away > 12.0 / 2 + CLEAR_MM])
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["count"]) == ("mined", len(clear))


def _sub(folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CompactDetector]:
    """Detectors that were asked for proposals; points of their own, but without a search that takes seconds."""
    detectors: list[CompactDetector] = []

    def propose(self: CompactDetector, box: LungBox, most: int) -> Proposals:
        detectors.append(self)
        seed = int(weights_digest(self.net.state_dict())[:8], 16)
        points = np.random.default_rng(seed).uniform(0, box.mask_DHW.shape, (40, 3))
        return Proposals(points, np.full(40, 8.0), np.linspace(0.9, 0.1, 40))

    monkeypatch.setattr(CompactDetector, "propose", propose)
    return detectors


def test_what_was_mined_is_kept_and_damage_is_repaired(
    box: LungBox, tmp_path: Path, asked: list[CompactDetector]
) -> None:
    (first,) = mined(net(), material(box), tmp_path)
    path = tmp_path / "tempting.npz"
    whole = path.read_bytes()
    (kept,) = mined(net(), material(box), tmp_path)
    assert np.array_equal(kept, first)
    assert len(asked) == 1
    (other,) = mined(net(seed=1), material(box), tmp_path)
    assert not np.array_equal(other, first)  # what tempts another network is its own
    assert path.read_bytes() != whole
    for number, data in enumerate((whole[:-30], b"", b"no archive"), start=3):
        path.write_bytes(data)
        (again,) = mined(net(), material(box), tmp_path)
        assert np.array_equal(again, first)
        assert path.read_bytes() == whole
        assert len(asked) == number


def test_points_of_other_lungs_are_not_taken(
    box: LungBox, tmp_path: Path, asked: list[CompactDetector]
) -> None:
    mined(net(), material(box), tmp_path)
    points = mined(net(), material(box, scenes=2), tmp_path)
    assert len(asked) == 1 + 2
    assert len(points) == 2
    assert np.array_equal(points[0], points[1])
    assert len(points[0]) > 20
