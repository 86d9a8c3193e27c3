"""What stage=export declares of MONAI's RetinaNet: its one network, the images that it is checked and calibrated on.

What is around it, resampling, tiles, anchors, box selection, stays Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.training.development import DevelopmentScan
from apps.nodule.data.training.scenes import SPACING_MM as SCENE_MM
from apps.nodule.data.training.scenes import Scene
from apps.nodule.data.volume import Volume
from apps.nodule.models.retinanet import (
    ANCHOR_SHAPES,
    NETWORK,
    SIZE_DIVISIBLE,
    SPACING_MM,
    HeadMaps,
    RetinaNetDetector,
    preprocess,
)
from core.export.network import Network, Tensors
from core.export.ports import Axis, Port

CROP = (64, 64, 32)  # voxels of an image that is checked, or calibrated on
CALIBRATION_CROPS = 32
STRIDES = ((4, 4, 2), (8, 8, 4), (16, 16, 8))  # of the three maps
AXES = (Axis("X", 32, 2048, 16), Axis("Y", 32, 2048, 16), Axis("Z", 16, 4096, 8))
SIZES = ({"X": 64, "Y": 64, "Z": 32}, {"X": 32, "Y": 32, "Z": 16}, {"X": 48, "Y": 32, "Z": 40})
CUT_MM = (80, 90, 90)  # (D, H, W) of a chest that CPM is measured on
TFLOP_A_VOXEL = 60.8 / (512 * 512 * 192)
SEED = 0
NOT_APPLICABLE = {
    "executorch": "no kernels for pooling and enlargement of three axes, and a scan costs 60 TFLOP",
    "tensorrt": "an engine plans its memory for the largest image, and PyTorch runs this network on a GPU",
    "torchserve": "its handler is the compact detector's",
}


@dataclass(frozen=True, eq=False)
class Cut:
    """Part of a generated chest, with the nodules whose centre lies in it: LPS mm (K, 3), and mm (K,)."""

    grid: PatientGrid
    centres_mm_K3: np.ndarray
    diameters_mm_K: np.ndarray


def cut_of(scan: DevelopmentScan) -> Cut:
    """Return the part of a chest, of `CUT_MM`, around the nodule that has most others near it."""
    grid = scan.box.grid
    size = np.minimum(np.array(CUT_MM) / grid.spacing_mm, grid.hu_DHW.shape).astype(int)
    index_K3 = grid.to_index(scan.centres_mm_K3)
    first_K3 = np.clip(np.rint(index_K3 - size / 2), 0, np.array(grid.hu_DHW.shape) - size).astype(int)
    inside_KK = [((index_K3 >= first) & (index_K3 <= first + size - 1)).all(axis=1) for first in first_K3]
    best = int(np.argmax([inside.sum() for inside in inside_KK]))
    inside_K = inside_KK[best]
    return Cut(_box(grid, first_K3[best], size), scan.centres_mm_K3[inside_K], scan.diameters_mm_K[inside_K])


def volume_of(grid: PatientGrid) -> Volume:
    """Return a grid as a volume: its axes run to the head, the back and the patient's left."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = grid.spacing_mm
    affine[:3, 3], affine[3, 3] = grid.origin_mm, 1.0
    return Volume(grid.hu_DHW, affine, "part")


def cuts_in_words(cuts: Sequence[Cut]) -> str:
    """Return what CPM is measured on, and why it is not whole chests."""
    depth, height, width = CUT_MM
    return (
        f"{len(cuts)} parts of generated chests, {width} × {height} × {depth} mm: a whole one takes 50 TFLOP"
    )


def cost_of(cuts: Sequence[Cut]) -> float:
    """Return the TFLOP of searching these once."""
    searched_mm3 = sum(cut.grid.hu_DHW.size * cut.grid.spacing_mm**3 for cut in cuts)
    return float(searched_mm3 / np.prod(SPACING_MM) * TFLOP_A_VOXEL)


def retinanet_network(
    detector: RetinaNetDetector, cuts: Sequence[Cut], scenes: Callable[[], Sequence[Scene]]
) -> Network:
    """Return the declaration of the network. scenes: lungs to calibrate 8-bit integers on, read where needed."""
    anchors = len(ANCHOR_SHAPES)
    maps = [tuple(f"{axis}/{step}" for axis, step in zip("XYZ", strides, strict=True)) for strides in STRIDES]
    return Network(
        name=NETWORK,
        about="class logits and box regressions of three maps, finest first, of an image in 0..1",
        module=HeadMaps(detector.network.float()).eval(),
        inputs=(Port("image", (1, 1, "X", "Y", "Z"), low=0.0, high=1.0),),
        outputs=(
            *(Port(f"logits_{level}", (1, anchors, *dims)) for level, dims in enumerate(maps)),
            *(Port(f"boxes_{level}", (1, anchors * 6, *dims)) for level, dims in enumerate(maps)),
        ),
        axes=AXES,
        sizes=SIZES,
        draw=lambda sizes, generator: (
            torch.rand((1, 1, sizes["X"], sizes["Y"], sizes["Z"]), generator=generator),
        ),
        real=lambda: _crops([cut.grid for cut in cuts], len(cuts)),
        calibration=lambda: _crops([_grid(scene) for scene in scenes()], CALIBRATION_CROPS),
        not_applicable=NOT_APPLICABLE,
    )


def _box(grid: PatientGrid, first: np.ndarray, size: np.ndarray) -> PatientGrid:
    d, h, w = (slice(int(start), int(start + length)) for start, length in zip(first, size, strict=True))
    return PatientGrid(grid.hu_DHW[d, h, w], grid.spacing_mm, grid.to_world(first[None])[0])


def _grid(scene: Scene) -> PatientGrid:
    return PatientGrid(scene.hu_DHW, SCENE_MM, np.zeros(3))


def _crops(grids: Sequence[PatientGrid], count: int) -> Iterator[Tensors]:
    """Yield images of grids in turn, (1, 1, *CROP), at random positions; smaller where a grid is."""
    generator = np.random.default_rng(SEED)
    wanted = np.ceil(np.array(CROP)[::-1] * np.array(SPACING_MM)[::-1] / SCENE_MM).astype(int) + 1
    for number in range(count):
        grid = grids[number % len(grids)]
        size = np.minimum(wanted, grid.hu_DHW.shape)
        first = generator.integers(0, np.array(grid.hu_DHW.shape) - size + 1)
        image_1XYZ, _ = preprocess(volume_of(_box(grid, first, size)))
        x, y, z = (
            min(edge, whole // step * step)
            for edge, whole, step in zip(CROP, image_1XYZ.shape[1:], SIZE_DIVISIBLE, strict=True)
        )
        yield (image_1XYZ[None, :, :x, :y, :z].contiguous(),)
