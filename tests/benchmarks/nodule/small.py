"""A small lung, small nodules and a detector that needs no training, for the tests of the measurements."""

from __future__ import annotations

import numpy as np
import torch

from apps.nodule.config import ModelConfig
from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.specimens import Specimen
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import CompactDetector

LUNG_HU, NODULE_HU = -850.0, 20


def lung(edge: int = 96) -> LungBox:
    """A block of parenchyma, all of it lung but for a border of 4 voxels; first voxel at LPS (10, 20, 30)."""
    hu = np.full((edge,) * 3, LUNG_HU, dtype=np.float32)
    mask = np.zeros(hu.shape, dtype=bool)
    mask[4:-4, 4:-4, 4:-4] = True
    return LungBox(PatientGrid(hu, 1.0, np.array([10.0, 20.0, 30.0])), mask)


def specimen(key: str = "LIDC-IDRI-0600_R_1", radius: float = 4.0, texture: float = 5.0) -> Specimen:
    """A ball of tissue in a cube of 21 voxels whose surroundings are a little denser than the lung."""
    axes = np.arange(21) - 10
    away = np.sqrt(axes[:, None, None] ** 2 + axes[None, :, None] ** 2 + axes[None, None, :] ** 2)
    outline = away <= radius
    hu = np.where(outline, NODULE_HU, -900).astype(np.int16)
    hu[:, :, 18:] = 100  # a wall that must not come along
    alpha = np.clip(1 - (away - radius) / 3, 0, 1).astype(np.float32)
    ratings = {"texture": texture, "subtlety": 4.0}
    return Specimen(key, hu, outline, alpha, np.array([10.0, 10.0, 10.0]), 2 * radius, ratings)


def detector(threshold: float = 0.5, seed: int = 0) -> CompactDetector:
    """The real detector with random weights."""
    torch.manual_seed(seed)
    return CompactDetector(CompactNet(), "test", threshold, ModelConfig(), torch.device("cpu"))
