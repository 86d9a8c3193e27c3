"""Centres as heat maps: targets, losses and peaks (CenterNet, Zhou et al. 2019, arXiv:1904.07850).

Legend: B batch, d h w cells of 4 mm, N nodules. A cell k covers voxels 4k..4k+3; its middle is voxel 4k+1.5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from apps.nodule.models.compact import STRIDE

SIGMA_PER_DIAMETER = 0.2
SMALLEST_SIGMA_MM = 2.0
REGRESSED_ABOVE = 0.6  # cells this close to a centre learn its offset and diameter


class Targets(NamedTuple):
    """heat_dhw: 0..1, exactly 1 at the cell of a centre; box_4dhw: offsets and log diameter."""

    heat_dhw: np.ndarray
    box_4dhw: np.ndarray


def encode(centres_N3: np.ndarray, diameters_N: np.ndarray, cells: tuple[int, int, int]) -> Targets:
    """Draw nodules, centres in voxels (d, h, w) and diameters in mm (= voxels), onto a grid of cells."""
    heat = np.zeros(cells, dtype=np.float32)
    box = np.zeros((4, *cells), dtype=np.float32)
    middles = [np.arange(n, dtype=np.float32) * STRIDE + (STRIDE - 1) / 2 for n in cells]
    for centre, diameter in zip(centres_N3, diameters_N, strict=True):
        offset = [
            (c - m).reshape([-1 if a == i else 1 for a in range(3)])
            for i, (c, m) in enumerate(zip(centre, middles, strict=True))
        ]
        sigma = max(SMALLEST_SIGMA_MM, SIGMA_PER_DIAMETER * diameter)
        bump = np.exp(-(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2) / (2 * sigma**2))
        # the nearest middle: a voxel reaches half a voxel to each side of its index
        peak = tuple(
            int(np.clip(np.floor((c + 0.5) / STRIDE), 0, n - 1)) for c, n in zip(centre, cells, strict=True)
        )
        bump = bump / max(float(bump[peak]), 1e-6)
        nearer = bump > heat
        heat = np.where(nearer, np.minimum(bump, 1.0), heat).astype(np.float32)
        for i in range(3):
            box[i] = np.where(nearer, offset[i] / STRIDE, box[i])
        box[3] = np.where(nearer, np.log(diameter), box[3])
        heat[peak] = 1.0
    return Targets(heat, box)


def proposal_loss(output: Tensor, heat: Tensor, box: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Penalty-reduced focal loss of the centre, L1 of offset and log diameter.

    output: (B, 5, d, h, w); heat, valid: (B, d, h, w); box: (B, 4, d, h, w). Cells where valid is 0 count for
    nothing: what lies there is not known.
    """
    logit = output[:, 0].float()
    centre = (heat >= 0.999).float() * valid
    count = centre.sum().clamp(min=1.0)
    p = logit.sigmoid()
    hit = (1 - p) ** 2 * F.softplus(-logit) * centre
    miss = (1 - heat) ** 4 * p**2 * F.softplus(logit) * (1 - centre) * valid
    near = ((heat > REGRESSED_ABOVE).float() * valid).unsqueeze(1)
    error = F.smooth_l1_loss(output[:, 1:].float(), box, reduction="none", beta=0.1) * near
    return {
        "centre": (hit.sum() + miss.sum()) / count,
        "box": error.sum() / near.sum().clamp(min=1.0),
    }


def judge_loss(output: Tensor, is_nodule: Tensor, box: Tensor) -> dict[str, Tensor]:
    """Cross entropy of the verdict, L1 of offset and log diameter where there is a nodule.

    output: (B, 5); is_nodule: (B,) 0 or 1; box: (B, 4).
    """
    output = output.float()
    error = F.smooth_l1_loss(output[:, 1:], box, reduction="none", beta=0.1).sum(dim=1) * is_nodule
    return {
        "verdict": F.binary_cross_entropy_with_logits(output[:, 0], is_nodule * 0.98 + 0.01),
        "box": error.sum() / is_nodule.sum().clamp(min=1.0),
    }


def peaks(output: Tensor, most: int, floor: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the local maxima of one heat map (5, d, h, w), best first.

    Returns centres in voxels (N, 3), diameters in mm (N,), probabilities (N,), at most `most` of them, each
    at or above `floor`.
    """
    p = output[0].float().sigmoid()
    top = F.max_pool3d(p[None, None], 3, stride=1, padding=1)[0, 0]
    cells = torch.nonzero((p == top) & (p >= floor))
    scores = p[tuple(cells.T)]
    order = torch.argsort(scores, descending=True, stable=True)[:most]
    cells, scores = cells[order], scores[order]
    box = output[1:].float()[(slice(None), *cells.T)].T
    centres = (cells + box[:, :3]) * STRIDE + (STRIDE - 1) / 2
    diameters = box[:, 3].clamp(np.log(2.0), np.log(60.0)).exp()
    return centres.cpu().numpy(), diameters.cpu().numpy(), scores.cpu().numpy()
