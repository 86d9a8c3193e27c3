"""Analytic bodies: HU as a function of position, so that any grid shows the same patient and the truth is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from apps.nodule.data.volume import Volume

AIR, LUNG, TISSUE = -1000.0, -850.0, 40.0


@dataclass(frozen=True)
class Ball:
    """A solid nodule: LPS centre and diameter in mm."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class Body:
    """An elliptic trunk along z with two ellipsoid lungs beside the origin; half axes in mm along x, y, z."""

    trunk_mm: tuple[float, float] = (95.0, 70.0)
    lung_mm: tuple[float, float, float] = (32.0, 45.0, 60.0)  # 0.36 litres each
    apart_mm: float = 42.0
    balls: tuple[Ball, ...] = ()

    def in_lungs(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Whether positions lie in a lung."""
        a, b, c = self.lung_mm
        return ((np.abs(x) - self.apart_mm) / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1

    def hu(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Hounsfield units at positions; a ball's rim is blurred over 1 mm as by partial volume."""
        hu = np.where((x / self.trunk_mm[0]) ** 2 + (y / self.trunk_mm[1]) ** 2 < 1, TISSUE, AIR)
        hu = np.where(self.in_lungs(x, y, z), LUNG, hu)
        for ball in self.balls:
            away = np.sqrt(sum((p - c) ** 2 for p, c in zip((x, y, z), ball.centre_mm, strict=True)))
            share = np.clip(ball.diameter_mm / 2 + 0.5 - away, 0, 1)
            hu = hu * (1 - share) + TISSUE * share
        return hu


def orientation(name: str, spacing_mm: Sequence[float]) -> np.ndarray:
    """Columns (3, 3) of an affine: how D, H and W run through the patient, with this spacing along each."""
    axes = {
        "axial": [(0, 0, 1), (0, 1, 0), (1, 0, 0)],
        "flipped": [(0, 0, -1), (0, -1, 0), (-1, 0, 0)],
        "coronal": [(0, 1, 0), (0, 0, -1), (1, 0, 0)],
        "sagittal": [(1, 0, 0), (0, 0, -1), (0, 1, 0)],
        "oblique": [(0.28, -0.2, 0.94), (0.1, 0.98, 0.18), (0.96, 0.05, -0.27)],
        "sheared": [(0, 0.3, 1), (0, 1, 0), (1, 0, 0)],  # a gantry tilted by 17 degrees
    }[name]
    columns = np.array(axes, dtype=float).T
    if name == "oblique":
        columns = np.linalg.qr(columns)[0]
        columns *= np.sign(np.diag(columns[::-1]))
    return columns * np.array(spacing_mm)


def affine_around(columns: np.ndarray, shape: tuple[int, int, int], middle_mm: Sequence[float]) -> np.ndarray:
    """An affine whose grid has its middle at `middle_mm`."""
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = np.array(middle_mm) - columns @ ((np.array(shape) - 1) / 2)
    return affine


def scan_of(body: Body, affine: np.ndarray, shape: tuple[int, int, int], uid: str = "body") -> Volume:
    """The body on a grid, slice by slice, so that large ones fit into memory."""
    hu_DHW = np.empty(shape, dtype=np.int16)
    h, w = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij", sparse=True)
    for d in range(shape[0]):
        x, y, z = (affine[i, 0] * d + affine[i, 1] * h + affine[i, 2] * w + affine[i, 3] for i in range(3))
        hu_DHW[d] = np.rint(body.hu(x, y, z))
    return Volume(hu_DHW, affine, uid)


def small_scan(
    body: Body,
    name: str = "axial",
    spacing_mm: Sequence[float] = (2.0, 1.5, 1.5),
    room_mm: tuple[float, float, float] = (204.0, 154.0, 140.0),
) -> Volume:
    """The body whole, with room in x, y, z around it, as seen in one orientation."""
    columns = orientation(name, spacing_mm)
    need = np.abs(np.linalg.inv(columns)) @ np.array(room_mm)
    d, h, w = (int(n) + 1 for n in need)
    return scan_of(body, affine_around(columns, (d, h, w), (0.0, 0.0, 0.0)), (d, h, w), uid=name)
