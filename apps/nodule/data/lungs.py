"""Where the lungs are: air that holds parenchyma, separated from room air and bowel, on a coarse grid.

Air is parenchyma where it is denser than gas on average, since vessels run through it. Gas that belongs to a lung
(airways, bullae, a pneumothorax) stays with it; gas below the lungs that a wall separates from them is bowel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from apps.nodule.data.resample import AIR_HU as BEYOND_HU

GRID_MM = 3.0
AIR_HU = -400.0
WALL_MM = 4.0  # only air farther than this from any wall is judged: nearer, wall and air are mixed in a voxel
GAS_HU = -930.0  # the mean of nearby voxels: gas lies below, emphysema as a rule above
DENSEST_HU = -500.0
SEED_MM3 = 3_000.0  # a smaller piece is not parenchyma: the rim of gas, or gas mixed with stool
SEED_SHARE = 0.01  # of the largest piece
SMALLEST_MM3 = 25_000.0  # less parenchyma than this in all is not a lung: gas mixed with stool comes near it
GAS_MM3 = 1_000.0  # a smaller pocket of gas separates nothing
CAVITY_MM3 = 700_000.0  # gas alone: a phantom filled with air, a hemithorax without its lung
CONTACT = (
    0.35  # share of a pocket's surface that lies open to parenchyma, from which on it is part of the lung
)
PAD_MM = 15.0  # half the thickness up to which air open to several sides of the image is a pad or a blanket
CLOSING_MM = 12.0  # takes in nodules at the pleura and vessels at the hilum
MARGIN_MM = 3.0
FACES = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True, eq=False)
class Lungs:
    """air_DHW: air of the lungs; bowel_DHW: gas of the bowel, both bool on one grid of `grid_mm`.

    cavities: gas without parenchyma that was kept as if it were lung.
    """

    air_DHW: np.ndarray
    bowel_DHW: np.ndarray
    grid_mm: tuple[float, ...]
    cavities: int = 0

    def closed(self, closing_mm: float = CLOSING_MM) -> np.ndarray:
        """Return the lungs with what lies between or beside their air within `closing_mm`, and 3 mm of their wall.

        What lies nearer to gas of the bowel than to the lungs is left out.
        """
        if not self.air_DHW.any():
            return self.air_DHW
        box = _around(self.air_DHW, self.grid_mm, closing_mm + MARGIN_MM)
        air, bowel = self.air_DHW[box], self.bowel_DHW[box]
        away = ndimage.distance_transform_edt(~air, sampling=self.grid_mm)
        # beyond the volume counts as inside: lungs cut off by the field of view keep their border
        inside = ndimage.distance_transform_edt(away <= closing_mm, sampling=self.grid_mm)
        part = (inside > closing_mm - MARGIN_MM) | air
        if bowel.any():
            part &= away <= ndimage.distance_transform_edt(~bowel, sampling=self.grid_mm)
        mask = np.zeros_like(self.air_DHW)
        mask[box] = part
        return mask


def lung_mask(hu_DHW: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Return the lungs with their airways, vessels and pleural border, bool of the same shape.

    hu_DHW: Hounsfield units; spacing_mm: distance of voxels along D, H, W. The grid must be feet-to-head along
    D, so that H and W borders lie outside the patient, or cut through a lung. Nothing is set where there is no lung.
    """
    steps = [max(1, round(GRID_MM / s)) for s in spacing_mm]
    coarse = hu_DHW[:: steps[0], :: steps[1], :: steps[2]]
    lungs = find_lungs(coarse, tuple(n * s for n, s in zip(steps, spacing_mm, strict=True)))
    return _upsample(lungs.closed(), steps, hu_DHW.shape)


def find_lungs(hu_DHW: np.ndarray, grid_mm: tuple[float, ...]) -> Lungs:
    """Return the air of the lungs on a grid of about 3 mm; D runs from feet to head.

    hu_DHW: Hounsfield units. grid_mm: distance of voxels along D, H and W.
    """
    air = ndimage.gaussian_filter(hu_DHW.astype(np.float32), 0.5) < AIR_HU
    padding = _padding(hu_DHW)
    labels, _ = ndimage.label(air & ~padding)
    inner = (labels > 0) & ~np.isin(labels, _outside(hu_DHW, labels, padding, grid_mm))
    core = ndimage.binary_erosion(inner, _ball(WALL_MM, grid_mm), border_value=1)
    mean = _mean_within(hu_DHW, core)
    seeds = _parenchyma(core & (mean > GAS_HU) & (mean < DENSEST_HU), grid_mm)
    gas = core & (mean <= GAS_HU)
    if not seeds.any():
        cavities, count = _large(gas, CAVITY_MM3, grid_mm)
        return Lungs(_touching(labels, cavities) & inner, np.zeros_like(air), grid_mm, count)
    bowel = _bowel(gas, seeds, grid_mm)
    cavities, _ = _large(gas & ~bowel, CAVITY_MM3, grid_mm)
    alone = cavities & ~_touching(labels, seeds)
    lungs = _touching(labels, seeds | alone) & inner
    if bowel.any():
        bowel = inner & _nearer(bowel, seeds | (gas & ~bowel), lungs | bowel, grid_mm)
        lungs &= ~bowel
    return Lungs(lungs, bowel, grid_mm, ndimage.label(alone)[1])


def _padding(hu_DHW: np.ndarray) -> np.ndarray:
    """What was never scanned: beyond a circle of view or a tilted volume, where one lowest value stands for it.

    It reaches a face of the image; a cavity that noise-free gas fills with one value does not.
    """
    padding = np.zeros(hu_DHW.shape, dtype=bool)
    for value in {float(hu_DHW.min()), BEYOND_HU}:
        if value <= -1000:
            padding |= ndimage.binary_opening(hu_DHW == value, FACES)
    labels, _ = ndimage.label(padding)
    faces = [np.take(labels, end, axis=axis) for axis in range(3) for end in (0, -1)]
    return padding & np.isin(labels, np.unique(np.concatenate([face.ravel() for face in faces])))


def _outside(
    hu_DHW: np.ndarray, labels_DHW: np.ndarray, padding_DHW: np.ndarray, grid_mm: tuple[float, ...]
) -> np.ndarray:
    """Labels of the room around the patient: air that ends where an image does, and is not a lung cut off.

    The room is gas where it ends. A pad or a blanket may be as dense as a lung, but it is thin and reaches several
    borders of the image, or the padding.
    """
    sides = (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1])
    air = (labels_DHW > 0) | padding_DHW  # a wall, however thin, keeps a cavity from ending at the padding
    # by interpolation, with what was scanned
    mixed = ndimage.binary_dilation(padding_DHW, FACES, iterations=2, mask=air)
    end = ndimage.binary_dilation(mixed, FACES, mask=air)
    for side in sides:
        end[side] = True
    end &= (labels_DHW > 0) & ~mixed
    labels, values = labels_DHW[end], hu_DHW[end]
    room = []
    for label in np.unique(labels):
        ends = sum(bool((labels_DHW[side] == label).any()) for side in sides)
        if np.median(values[labels == label]) < GAS_HU or (
            ends != 1 and _is_thin(labels_DHW == label, grid_mm)
        ):
            room.append(label)
    return np.array(room, dtype=labels_DHW.dtype)


def _is_thin(mask_DHW: np.ndarray, grid_mm: tuple[float, ...]) -> bool:
    steps = max(1, round(PAD_MM / min(grid_mm)))
    return not ndimage.binary_erosion(mask_DHW, FACES, iterations=steps, border_value=1).any()


def _ball(radius_mm: float, grid_mm: tuple[float, ...]) -> np.ndarray:
    reach = [int(radius_mm / step) for step in grid_mm]
    axes = np.meshgrid(
        *[np.arange(-n, n + 1) * s for n, s in zip(reach, grid_mm, strict=True)], indexing="ij"
    )
    return np.asarray(sum(axis**2 for axis in axes) <= radius_mm**2)


def _mean_within(hu_DHW: np.ndarray, mask_DHW: np.ndarray) -> np.ndarray:
    """Mean of the neighbours (3 × 3 × 3) that lie in the mask: free of what the wall adds."""
    weight = ndimage.uniform_filter(mask_DHW.astype(np.float32), 3)
    total = ndimage.uniform_filter(np.where(mask_DHW, hu_DHW, 0).astype(np.float32), 3)
    return np.where(mask_DHW, total / np.maximum(weight, 1e-3), 0)


def _parenchyma(dense_DHW: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Keep the pieces that are thick and large enough; none where all together are not a lung."""
    labels, count = ndimage.label(ndimage.binary_opening(dense_DHW, FACES))
    sizes = _volumes(labels, count, grid_mm)
    keep = sizes >= max(SEED_MM3, SEED_SHARE * sizes.max(initial=0.0))
    return keep[labels] if sizes[keep].sum() >= SMALLEST_MM3 else np.zeros_like(dense_DHW)


def _bowel(gas_DHW: np.ndarray, seeds_DHW: np.ndarray, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Pockets of gas that end below the middle of the lungs and are not open to them."""
    labels, count = ndimage.label(gas_DHW)
    middle = float(np.average(np.arange(len(seeds_DHW)), weights=seeds_DHW.sum(axis=(1, 2))))
    near = ndimage.binary_dilation(seeds_DHW, FACES)
    sizes = _volumes(labels, count, grid_mm)
    bowel = np.zeros(count + 1, dtype=bool)
    for number, extent in enumerate(ndimage.find_objects(labels), start=1):
        if sizes[number] < GAS_MM3 or extent[0].stop - 1 >= middle:
            continue
        box = tuple(slice(max(s.start - 2, 0), s.stop + 2) for s in extent)
        pocket = labels[box] == number
        shell = ndimage.binary_dilation(pocket, FACES, iterations=2) & ~pocket
        bowel[number] = near[box][shell].mean() < CONTACT
    return bowel[labels]


def _nearer(
    these_DHW: np.ndarray, others_DHW: np.ndarray, within_DHW: np.ndarray, grid_mm: tuple[float, ...]
) -> np.ndarray:
    """The voxels of a mask that lie nearer to `these` than to `others`."""
    box = _around(within_DHW, grid_mm, 0.0)
    marked = these_DHW[box] | others_DHW[box]
    nearest = ndimage.distance_transform_edt(
        ~marked, sampling=grid_mm, return_distances=False, return_indices=True
    )
    filled = np.zeros_like(within_DHW)
    filled[box] = these_DHW[box][tuple(nearest)]
    return filled


def _large(gas_DHW: np.ndarray, smallest_mm3: float, grid_mm: tuple[float, ...]) -> tuple[np.ndarray, int]:
    labels, count = ndimage.label(gas_DHW)
    keep = _volumes(labels, count, grid_mm) >= smallest_mm3
    return keep[labels], int(keep.sum())


def _volumes(labels_DHW: np.ndarray, count: int, grid_mm: tuple[float, ...]) -> np.ndarray:
    """Volume by label in mm³; 0 for the background."""
    volumes = np.bincount(labels_DHW.ravel(), minlength=count + 1) * float(np.prod(grid_mm))
    volumes[0] = 0.0
    return volumes


def _touching(labels_DHW: np.ndarray, marked_DHW: np.ndarray) -> np.ndarray:
    """The whole components that hold something marked."""
    numbers = np.unique(labels_DHW[marked_DHW])
    return np.isin(labels_DHW, numbers[numbers > 0])


def _around(mask_DHW: np.ndarray, grid_mm: tuple[float, ...], margin_mm: float) -> tuple[slice, ...]:
    extent = ndimage.find_objects(mask_DHW.astype(np.uint8))[0]
    margins = [int(margin_mm / step) + 2 for step in grid_mm]
    return tuple(slice(max(s.start - n, 0), s.stop + n) for s, n in zip(extent, margins, strict=True))


def _upsample(mask_DHW: np.ndarray, steps: list[int], shape: tuple[int, ...]) -> np.ndarray:
    for axis, step in enumerate(steps):
        mask_DHW = np.repeat(mask_DHW, step, axis=axis)
    return mask_DHW[: shape[0], : shape[1], : shape[2]]
