"""Mine false positives: what the proposal network takes for a nodule where none is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.lungs import lung_mask
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.training.training_set import TrainingSet
from apps.nodule.models.compact import SPACING_MM, CompactNet
from apps.nodule.models.compact_detector import CompactDetector
from core.compute.devices import choose_device
from core.runs.arrays import read_arrays, write_arrays
from core.runs.log import RunLog
from core.terminal.progress import progress
from core.training.digests import weights_digest

MOST_A_SCENE = 150
MARK = "network"  # in the file: the digest of the network whose errors it holds
CLEAR_MM = 5.0  # beyond a known nodule's radius


def mine(net: CompactNet, material: TrainingSet, path: Path, log: RunLog) -> None:
    """Fill `tempting_K3` of every scene.

    What `path` holds of this network already is taken from there, unless it is damaged.
    """
    mark = weights_digest(net.proposal.state_dict())
    per_scene = _read(path, mark, len(material.scenes))
    if per_scene is None:
        detector = CompactDetector(net, "", 0.5, ModelConfig(), choose_device("auto"))
        per_scene = [
            _tempting(detector, scene) for scene in progress(material.scenes, "mining false positives")
        ]
        net.train()
        write_arrays(
            path, {**{f"arr_{i}": points for i, points in enumerate(per_scene)}, MARK: np.array(mark)}
        )
    for scene, points in zip(material.scenes, per_scene, strict=True):
        scene.tempting_K3 = points
    log.event("mined", count=sum(len(s.tempting_K3) for s in material.scenes))


def _read(path: Path, mark: str, scenes: int) -> list[np.ndarray] | None:
    """Return the points of each scene; None where the file is absent, damaged, of another network or other scenes."""
    kept = read_arrays(path)
    names = [f"arr_{i}" for i in range(scenes)]
    if kept is None or list(kept) != [*names, MARK] or str(kept[MARK]) != mark:
        return None
    return [kept[name] for name in names]


def _tempting(detector: CompactDetector, scene: Scene) -> np.ndarray:
    """Return points (K, 3) in voxels that score high and lie clear of every known nodule."""
    hu_DHW = scene.hu_DHW.astype(np.float32)
    grid = PatientGrid(hu_DHW, SPACING_MM, np.zeros(3))
    box = LungBox(grid, lung_mask(hu_DHW, (SPACING_MM,) * 3))
    centres = detector.propose(box, MOST_A_SCENE).best(MOST_A_SCENE).centres_N3
    for centre, diameter in zip(scene.centres_N3, scene.diameters_N, strict=True):
        centres = centres[np.linalg.norm(centres - centre, axis=1) > diameter / 2 + CLEAR_MM]
    return centres
