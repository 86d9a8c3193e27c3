"""The classical baseline: bright balls within the lungs, by the Laplacian of Gaussian over several scales.

Source: Lindeberg 1998, Feature detection with automatic scale selection, doi:10.1023/A:1008045108935. It has no
weights and learns nothing; what it cannot separate (a vessel's fork, a rib's edge) is what a network is for.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from apps.nodule.data.lung_box import lung_box
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Detection
from apps.nodule.models.tiling import suppress

SPACING_MM = 1.25
DIAMETERS_MM = (4.0, 5.5, 7.5, 10.0, 13.5, 18.5, 25.0)
HU_RANGE = (-900.0, 100.0)  # lung to soft tissue: calcium and bone count no more than a solid nodule
CONTRAST_HU = HU_RANGE[1] - HU_RANGE[0]
# What -σ²∇² gives in the middle of a ball of contrast 1 whose radius is √3 σ: 4π r³ G(r).
BALL_RESPONSE = 4.0 * math.pi * 3.0**1.5 * (2.0 * math.pi) ** -1.5 * math.exp(-1.5)
FLOOR = 0.1
PEAKS = 1500  # judged for overlap
MAX_CANDIDATES = 100


class BlobDetector:
    """Find bright balls of 4 to 25 mm; see `apps.nodule.models.detector.Detector`.

    A candidate's probability is its response over that of an ideal ball of soft tissue in lung, at most 1: a rank,
    not a calibrated chance.
    """

    name = "blob"
    version = "1"

    def __init__(self, threshold: float = 0.6, max_candidates: int = MAX_CANDIDATES) -> None:
        self.threshold = threshold
        self.max_candidates = max_candidates

    def detect(self, volume: Volume) -> Detection:
        """Return candidates by falling probability."""
        box = lung_box(volume, SPACING_MM)
        response_DHW, diameter_DHW = strongest_response(box.grid.hu_DHW, SPACING_MM)
        centre_N3 = _peaks(response_DHW, box.mask_DHW)
        at = tuple(centre_N3.T)
        score_N, diameter_N = response_DHW[at], diameter_DHW[at]
        kept = suppress(centre_N3 * SPACING_MM, diameter_N, score_N)[: self.max_candidates]
        world_N3 = box.grid.to_world(centre_N3[kept])
        return Detection(
            [
                Candidate((float(x), float(y), float(z)), float(diameter), float(min(score, 1.0)))
                for (x, y, z), diameter, score in zip(world_N3, diameter_N[kept], score_N[kept], strict=True)
            ]
        )


def strongest_response(hu_DHW: np.ndarray, spacing_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return at each voxel the largest response over all scales, 1 for an ideal ball, and its diameter in mm.

    hu_DHW: HU on an isotropic grid. Each scale is smoothed from the one before, so the larger cost no more; at
    the border the grid is mirrored, the only continuation that smoothing in steps leaves as it is.
    """
    low, high = HU_RANGE
    smooth = np.clip(hu_DHW, low, high).astype(np.float32)
    best = np.full(hu_DHW.shape, -np.inf, dtype=np.float32)
    diameter = np.zeros(hu_DHW.shape, dtype=np.float32)
    reached = 0.0
    for wanted_mm in DIAMETERS_MM:
        sigma = wanted_mm / (2.0 * math.sqrt(3.0)) / spacing_mm
        smooth = ndimage.gaussian_filter(
            smooth, math.sqrt(sigma**2 - reached**2), mode="reflect", truncate=3.0
        )
        reached = sigma
        response = ndimage.laplace(smooth, mode="reflect")
        response *= -(sigma**2) / (BALL_RESPONSE * CONTRAST_HU)
        stronger = response > best
        best[stronger] = response[stronger]
        diameter[stronger] = wanted_mm
    return best, diameter


def _peaks(response_DHW: np.ndarray, mask_DHW: np.ndarray) -> np.ndarray:
    """Return the strongest local maxima within the mask, (N, 3) indices, best first."""
    top = ndimage.maximum_filter(response_DHW, size=3, mode="nearest")
    found_N3 = np.argwhere((response_DHW == top) & (response_DHW >= FLOOR) & mask_DHW)
    order = np.argsort(-response_DHW[tuple(found_N3.T)], kind="stable")
    return found_N3[order[:PEAKS]]
