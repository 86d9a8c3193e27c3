from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.nodule.data.lung_box import lung_box
from apps.nodule.data.phantom.contours import load_shapes
from apps.nodule.data.training.scenes import Scene, make_scene
from apps.nodule.data.training.training_set import TrainingSet
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.mining import CLEAR_MM, MOST_A_SCENE, mine
from core.runs.log import RunLog
from tests.apps.nodule.bodies import Ball, Body, small_scan

BALL = Ball((40.0, 5.0, -10.0), 12.0)


def net(seed: int = 0) -> CompactNet:
    """An untrained network that is tempted everywhere."""
    torch.manual_seed(seed)
    found = CompactNet()
    with torch.no_grad():
        found.proposal.head.bias[0] = 0.0
    return found


def material(*, known: bool = True, scenes: int = 1) -> TrainingSet:
    box = lung_box(small_scan(Body(lung_mm=(30.0, 35.0, 40.0), balls=(BALL,))), 1.0)
    centres = np.array([BALL.centre_mm]) if known else np.zeros((0, 3))
    diameters = np.array([12.0])[: len(centres)]
    lungs: list[Scene] = [make_scene(box, centres, diameters, accepts=True) for _ in range(scenes)]
    return TrainingSet(lungs, [], [], load_shapes("train"))


def look(network: CompactNet, found: TrainingSet, folder: Path) -> list[np.ndarray]:
    with RunLog(folder / "log.jsonl") as log:
        mine(network, found, folder / "tempting.npz", log)
    return [scene.tempting_K3 for scene in found.scenes]


def test_what_tempts_lies_in_the_lung_and_clear_of_known_nodules(tmp_path: Path) -> None:
    known, unknown = material(), material(known=False)
    network = net()
    (clear,), (all_places,) = look(network, known, tmp_path), look(network, unknown, _sub(tmp_path))
    assert network.training
    assert 20 < len(clear) <= len(all_places) <= MOST_A_SCENE
    assert (clear > -4).all()
    assert (clear < np.array(known.scenes[0].hu_DHW.shape) + 4).all()
    away = np.linalg.norm(all_places - known.scenes[0].centres_N3[0], axis=1)
    assert np.array_equal(clear, all_places[away > 12.0 / 2 + CLEAR_MM])
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["count"]) == ("mined", len(clear))


def _sub(folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub"


def test_what_was_found_is_kept_and_damage_is_repaired(tmp_path: Path) -> None:
    (first,) = look(net(), material(), tmp_path)
    path = tmp_path / "tempting.npz"
    whole = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompactDetector, "propose", None)  # it is not asked again
        (kept,) = look(net(), material(), tmp_path)
    assert np.array_equal(kept, first)
    (other,) = look(net(seed=1), material(), tmp_path)
    assert not np.array_equal(other, first)  # what tempts another network is its own
    assert path.read_bytes() != whole
    for data in (whole[:-30], b"", b"no archive"):
        path.write_bytes(data)
        (again,) = look(net(), material(), tmp_path)
        assert np.array_equal(again, first)
        assert path.read_bytes() == whole


@pytest.mark.parametrize("scenes", [2])
def test_places_of_other_lungs_are_not_taken(tmp_path: Path, scenes: int) -> None:
    look(net(), material(), tmp_path)
    found = look(net(), material(scenes=scenes), tmp_path)
    assert len(found) == scenes
    assert np.array_equal(found[0], found[1])
    assert len(found[0]) > 20
