"""Lung nodules from Python: load a detector, run it on files or on an array. `from apps.nodule import …`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from apps.nodule.config import ModelConfig
from apps.nodule.data.select import judge_extent, judge_size
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import as_hounsfield
from apps.nodule.data.volume_grid import settled
from apps.nodule.infer import SeriesResult, infer, search_volume
from apps.nodule.models.build import build_detector
from apps.nodule.models.detector import Detector
from apps.nodule.reasons import Reason, accept, refuse, verdict_of
from core.errors import ItemRefused

SMALLEST_VOXEL_MM3 = 1e-9


def load_detector(
    weights: str | os.PathLike[str] | None = None,
    *,
    model: str = "compact",
    device: str = "auto",
    threshold: float | None = None,
) -> Detector:
    """Load a detector, ready to be used many times.

    weights: the run folder of `stage=train` or the file in it, or those of MONAI's bundle for model="retinanet"; None
    takes the embedded ones of "compact".
    device: "auto", "cpu" or "cuda". threshold: probability, 0 to 1, from which a candidate is a finding; None takes the
    weights' own.

    Raises ConfigError for a value that is not allowed or a GPU that is not there, InputError for weights that do not
    fit, and for a folder that holds none, or several.

    >>> detector = load_detector(device="cpu", threshold=0.5)
    >>> detector.name, detector.threshold
    ('compact', 0.5)
    """
    config = ModelConfig(name=model, device=device, threshold=threshold)
    return build_detector(config, os.fspath(weights) if weights is not None else None)


def detect(source: str | os.PathLike[str], detector: Detector | None = None) -> Iterator[SeriesResult]:
    """Find nodules in every series of a folder, or in one file: DICOM, NIfTI, MetaImage or NRRD.

    The series are read and searched one at a time as the caller iterates, in a fixed order, with the same results as
    `triptych-nodule stage=infer`. A series that is skipped or damaged gives its reason and stops nothing. detector:
    from `load_detector`; None loads the embedded one.

    Raises InputError, at once, where the source does not exist or holds no file.

    >>> for result in detect("scans", load_detector(device="cpu")):
    ...     print(result.status, result.code, len(result.findings), "findings")
    accepted ct_series 0 findings
    """
    return infer(Path(source), detector or load_detector())


def detect_array(
    hu_DHW: np.ndarray,
    *,
    spacing_mm: Sequence[float] | None = None,
    affine: np.ndarray | None = None,
    detector: Detector | None = None,
    name: str = "array",
) -> SeriesResult:
    """Find nodules in one CT volume that is in memory.

    hu_DHW: Hounsfield units, (D slices, H rows, W columns). Either affine, (4, 4): an index (d, h, w, 1) to LPS mm; or
    spacing_mm: distances along D, H and W, where slices rise to the head, rows to the back and columns to the patient's
    left; centres are then millimetres from the first voxel, and no side of the body is named. name: the result's
    `series`. An array that is not a chest CT gives its reason, as a file does.

    Raises ValueError for an array that is not of three axes, and unless exactly one of spacing_mm, above 0, and affine
    is given.

    >>> tissue_DHW = np.full((40, 64, 64), 40, np.int16)
    >>> result = detect_array(tissue_DHW, spacing_mm=(2.5, 0.8, 0.8))
    >>> result.status, result.code, result.findings
    ('quarantined', 'values_not_hu', ())
    """
    if (spacing_mm is None) == (affine is None):
        raise ValueError("give either spacing_mm or affine")
    grid = np.asarray(affine, np.float64) if affine is not None else _grid(spacing_mm or ())
    # This checks the shapes before anything else uses them.
    given = Volume(np.asarray(hu_DHW), grid, name, is_oriented=affine is not None)
    reason = _verdict(given)
    if reason.status != "accepted":
        return SeriesResult(name, reason.status, reason.code, reason.sentence)
    try:
        if not np.isfinite(grid).all() or abs(np.linalg.det(grid[:3, :3])) < SMALLEST_VOXEL_MM3:
            raise refuse("volume_geometry")
        index_affine, notes = settled(grid, given.hu_DHW.shape)
        volume = Volume(
            as_hounsfield(given.hu_DHW), index_affine, name, notes=notes, is_oriented=given.is_oriented
        )
        volume, candidates, findings = search_volume(volume, detector or load_detector())
    except ItemRefused as refusal:
        reason = verdict_of(refusal)
        return SeriesResult(name, reason.status, reason.code, reason.sentence)
    return SeriesResult(name, reason.status, reason.code, reason.sentence, (), volume, candidates, findings)


def _verdict(volume: Volume) -> Reason:
    slices = volume.hu_DHW.shape[0]
    left_aside = judge_extent(slices, float(volume.spacing_mm[0])) or judge_size(*volume.hu_DHW.shape)
    return left_aside or accept("ct_volume", slices=slices)


def _grid(spacing_mm: Sequence[float]) -> np.ndarray:
    slice_mm, row_mm, column_mm = spacing_mm
    if min(spacing_mm) <= 0:
        raise ValueError(f"spacing_mm is {tuple(spacing_mm)}, wanted three lengths above 0")
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = slice_mm, row_mm, column_mm, 1.0
    return affine
