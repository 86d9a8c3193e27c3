"""Input folders for stage=infer, good and bad, and weights that find something in them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset

from apps.nodule.data.dicom_write import derive_uid
from apps.nodule.data.files import path_hash
from apps.nodule.data.volume_files import write_volume_file
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import save_compact
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, grid_affine, other_class, save

SECONDARY_CAPTURE, MR = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.4"
PIXEL_MM = (5.0, 6.0)  # few and large pixels: lungs of a third of a litre that are read in no time


def chest_affine(step: tuple[float, float, float] = (0, 0, 2.5)) -> np.ndarray:
    """The grid of a chest 215 mm wide on 32 × 40 pixels."""
    affine = grid_affine(step=step)
    affine[:3, 1] = (0, PIXEL_MM[0], 0)
    affine[:3, 2] = (PIXEL_MM[1], 0, 0)
    return affine


def fresh_weights(path: Path, threshold: float = 0.05) -> Path:
    """A file as stage=train leaves it, untrained: what it finds means nothing, but it finds some.

    Its 2 % working point is below what a network says that has seen nothing.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = CompactNet()
    save_compact(net, path, {"version": "0.0.1", "threshold": str(threshold)})
    return path


def series(name: str, slices: int = 24, **header: str) -> tuple[str, list[Dataset]]:
    """UID and data sets of a small chest series."""
    affine = chest_affine((0, 0.7, 2.5) if name == "tilted" else (0, 0, 2.5))
    uid = derive_uid("infer", name)
    return uid, chest_series(chest_volume(affine, slices=slices, uid=name), series_uid=uid, **header)


def good_ct(folder: Path) -> str:
    """One small series of 24 slices."""
    uid, datasets = series("good", patient_id="GOOD")
    save(datasets, folder / "good")
    return uid


def good_nifti(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    write_volume_file(chest_volume(chest_affine(), uid="case"), folder / "case 7.nii.gz")
    return "case 7"


def two_patients(folder: Path) -> list[str]:
    """In one folder, each with a series of its own."""
    uids = []
    for name in ("ann", "bob"):
        uid, datasets = series(name, patient_id=name.upper())
        save(datasets, folder / "ward", name)
        uids.append(uid)
    return uids


def doubled(folder: Path) -> str:
    uid, datasets = series("doubled")
    save([*datasets, datasets[5]], folder / "doubled")
    return uid


def tilted(folder: Path) -> str:
    uid, datasets = series("tilted")
    save(datasets, folder / "tilted")
    return uid


def missing(folder: Path) -> str:
    uid, datasets = series("missing", slices=30)
    save([d for i, d in enumerate(datasets) if i != 7], folder / "missing")
    return uid


def truncated(folder: Path) -> str:
    uid, datasets = series("truncated")
    paths = save(datasets, folder / "truncated")
    paths[3].write_bytes(paths[3].read_bytes()[:-700])
    return uid


def bare(folder: Path) -> str:
    uid, datasets = series("bare")
    for dataset in datasets:
        del dataset.PixelData
    save(datasets, folder / "bare")
    return uid


def shared(folder: Path) -> str:
    """One series UID, two patients."""
    uid, datasets = series("shared")
    for dataset in datasets[12:]:
        dataset.PatientID = "SOMEBODY ELSE"
    save(datasets, folder / "shared")
    return uid


def localiser(folder: Path) -> str:
    uid, datasets = series("localiser", slices=16)
    for dataset in datasets:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(datasets, folder / "localiser")
    return uid


def capture(folder: Path) -> str:
    datasets = other_class(SECONDARY_CAPTURE, "OT")
    save(datasets, folder / "capture")
    return str(datasets[0].SeriesInstanceUID)


def magnet(folder: Path) -> str:
    datasets = other_class(MR, "MR", 24)
    save(datasets, folder / "magnet")
    return str(datasets[0].SeriesInstanceUID)


def stray_files(folder: Path) -> dict[str, tuple[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "text.dcm").write_text("no DICOM at all")
    (folder / "notes.txt").write_text("nor this")
    return {
        f"unreadable-{path_hash('empty.dcm')}": ("quarantined", "empty_file"),
        f"unreadable-{path_hash('text.dcm')}": ("quarantined", "not_dicom"),
        f"unreadable-{path_hash('notes.txt')}": ("skipped", "not_an_image"),
    }


ONE_EACH: list[tuple[Callable[[Path], str], str, str]] = [
    (good_ct, "accepted", "ct_series"),
    (good_nifti, "accepted", "ct_volume"),
    (doubled, "accepted", "ct_series"),
    (tilted, "accepted", "ct_series"),
    (missing, "quarantined", "missing_slices"),
    (truncated, "quarantined", "truncated"),
    (bare, "quarantined", "no_pixel_data"),
    (shared, "quarantined", "mixed_patients"),
    (localiser, "skipped", "localiser"),
    (capture, "skipped", "secondary_capture"),
    (magnet, "skipped", "not_ct"),
]


def nasty_night(folder: Path) -> dict[str, tuple[str, str]]:
    """Everything at once; returns status and reason by the id of each series."""
    expected = {make(folder): (status, code) for make, status, code in ONE_EACH}
    expected |= dict.fromkeys(two_patients(folder), ("accepted", "ct_series"))
    return expected | stray_files(folder)


@dataclass(frozen=True)
class Result:
    """What a run of stage=infer left behind."""

    code: int
    output: Path
    run_dir: Path

    def summary(self) -> list[dict[str, str]]:
        with (self.output / "summary.csv").open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def files(self) -> dict[str, bytes]:
        """Every file below the output, by its relative path."""
        return {
            path.relative_to(self.output).as_posix(): path.read_bytes()
            for path in sorted(self.output.rglob("*"))
            if path.is_file()
        }
