"""On development data only: real nodules set into the development lung, that lung as it is, whole cubes.

Patients LIDC-IDRI-0530 to 0899 and the lungs named here; no weights are trained on them. Sensitivity comes from
nodules in another patient's lung, set in with a feathered rim: kinder than a scan of the patient, since walls and
vessels at the nodule are gone but for what came along, and harder, since noise and sharpness differ from the lung's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from apps.nodule.data.load import load
from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.data.training.specimens import Specimen, load_cubes, load_vois
from apps.nodule.data.training.training_set import DEVELOPMENT_LUNG
from apps.nodule.data.volume_files import read_volume_file
from apps.nodule.metrics.froc import Marks, Matched, Spheres, match
from apps.nodule.models.compact import SPACING_MM
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate
from benchmarks.nodule.detection_cache import (
    DetectionCache,
    array_digest,
    compact_cache,
    detect_in_box,
    weights_digest,
)
from benchmarks.nodule.insertion import Known, Sites, batches, insert
from benchmarks.nodule.shares import GRID, by_diameter, by_word, centres_and_scores, rounded, shares, table
from core.terminal.progress import progress

SECOND_SERIES = "lungfcp-01-0001"
TUMOUR_MARGIN_MM = 10.0  # its outline is not known: a mark this far around it is neither a hit nor false
BATCH = 9
SEED = 0
TEXTURES = ("non-solid", "part-solid", "solid")  # ratings 1–2, 3–4, 5


@dataclass(frozen=True, eq=False)
class DevelopmentLung:
    """The development lung on the detector's grid. tumour: in its voxels."""

    box: LungBox
    tumour: Known


@dataclass(frozen=True, eq=False)
class Inserted:
    """Which inserted nodules were detected. matched: scans are copies of the lung; owner_K: patients."""

    matched: Matched
    specimens: list[Specimen]

    @property
    def diameter_K(self) -> np.ndarray:
        """Diameters in mm."""
        return np.array([s.diameter_mm for s in self.specimens])

    @property
    def owner_K(self) -> list[str]:
        """Patients."""
        return [s.key.split("_")[0] for s in self.specimens]


def measure_development(detector: CompactDetector, real: Path, cache: Path) -> dict[str, Any]:
    """Return sensitivity on inserted nodules and cubes, and false positives on the lung as it is.

    real: the folder of real data. Groups are reported at the detector's working point.
    """
    detections = compact_cache(cache, detector)
    lung = development_lung(real)
    inserted = find_inserted(
        detector, lung, load_vois(real / "ct" / "lidc-nodules", "development"), detections
    )
    plain = find_in_lung(detector, lung, detections)
    t = detector.threshold
    at_t = groups_at(inserted, t)
    false_at_t = int(np.sum(plain.false_score_M >= t))
    return {
        "headline": {
            "sensitivity ≥ 5 mm": f"{at_t['diameter']['≥ 5 mm']['sensitivity']:.3f}",
            "false positives on the development lung": str(false_at_t),
            "threshold": f"{t:g}",
        },
        "weights": weights_digest(detector.net),
        "threshold": t,
        "inserted": {
            "copies": inserted.matched.scans,
            "false_positives_a_copy": rounded(
                np.sum(inserted.matched.false_score_M >= t) / inserted.matched.scans
            ),
            **at_t,
        },
        "lung": {"false_positives": false_at_t, "tumour_score": best_on_tumour(plain)},
        "cubes": cubes_found(detector, load_cubes(real / "ct" / "lidc-nodules", "development"), detections),
        "second_series": second_series(detector, real, detections),
        "table": development_table(inserted, plain),
    }


def development_lung(real: Path) -> DevelopmentLung:
    """Read the development lung and its one known tumour."""
    volume = read_volume_file(real / "ct" / "chest" / f"{DEVELOPMENT_LUNG}.nii.gz", DEVELOPMENT_LUNG)
    row = pd.read_csv(real / "ct" / "chest" / "lesions.csv").set_index("volume").loc[DEVELOPMENT_LUNG]
    box = lung_box(volume, SPACING_MM)
    centre_mm = np.array([[row["x_lps_mm"], row["y_lps_mm"], row["z_lps_mm"]]], dtype=float)
    d, h, w = (float(v) for v in box.grid.to_index(centre_mm)[0])
    return DevelopmentLung(box, Known((d, h, w), float(row["eq_diameter_mm"])))


def find_inserted(
    detector: CompactDetector,
    lung: DevelopmentLung,
    specimens: Sequence[Specimen],
    detections: DetectionCache,
) -> Inserted:
    """Set the specimens into copies of the lung, a batch a copy, and search each copy."""
    sites = Sites(lung.box, [lung.tumour])
    all_batches = list(batches(specimens, BATCH, SEED))
    by_scan: list[list[Candidate]] = []
    nodules: list[Spheres] = []
    kept: list[Specimen] = []
    for number, batch in enumerate(progress(all_batches, "inserted nodules")):
        placed = sites.draw(batch, (SEED, number))
        hu = lung.box.grid.hu_DHW.copy()
        centres = np.array([insert(hu, p) for p in placed])
        copy = replace(lung.box, grid=replace(lung.box.grid, hu_DHW=hu))
        by_scan.append(detections(f"inserted-{array_digest(hu)}", partial(detect_in_box, detector, copy)))
        diameters = np.array([p.specimen.diameter_mm for p in placed])
        nodules.append(Spheres(np.full(len(placed), number), lung.box.grid.to_world(centres), diameters))
        kept += [p.specimen for p in placed]
    truth = Spheres(*(np.concatenate([getattr(n, f) for n in nodules]) for f in _FIELDS))
    tumours = _tumours(lung, len(all_batches))
    return Inserted(match(_marks(by_scan), truth, tumours, scans=len(all_batches)), kept)


def find_in_lung(detector: CompactDetector, lung: DevelopmentLung, detections: DetectionCache) -> Matched:
    """Search the lung as it is; its tumour is the one nodule, and a mark beside it counts for nothing."""
    name = f"lung-{array_digest(lung.box.grid.hu_DHW)}"
    candidates = detections(name, partial(detect_in_box, detector, lung.box))
    tumour = Spheres(
        np.array([0]), lung.box.grid.to_world(np.array([lung.tumour.centre])), _tumours(lung, 1).diameter_K
    )
    return match(_marks([candidates]), tumour, _tumours(lung, 1), scans=1)


def best_on_tumour(plain: Matched) -> float | None:
    """Return the probability that the tumour got, None where it was not seen."""
    score = float(plain.nodule_score_K[0])
    return rounded(score) if np.isfinite(score) else None


def groups_at(inserted: Inserted, threshold: float) -> dict[str, Any]:
    """Return sensitivity by diameter, texture and subtlety at a threshold; intervals over patients."""
    hit = inserted.matched.nodule_score_K >= threshold
    owners = inserted.owner_K
    textures = [_texture(s.ratings["texture"]) for s in inserted.specimens]
    subtleties = [str(round(s.ratings["subtlety"])) for s in inserted.specimens]
    return {
        "diameter": shares(hit, owners, by_diameter(inserted.diameter_K)),
        "texture": shares(hit, owners, by_word(textures, TEXTURES)),
        "subtlety": shares(hit, owners, by_word(subtleties, ("1", "2", "3", "4", "5"))),
    }


def development_table(inserted: Inserted, plain: Matched) -> list[dict[str, float | None]]:
    """Return, by threshold, sensitivity on inserted nodules and false positives on the lung as it is."""
    rows = table(inserted.matched, inserted.diameter_K >= 5)
    false = table(plain, np.zeros(1, dtype=bool))
    return [{**row, "false_positives": f["false_positives"]} for row, f in zip(rows, false, strict=True)]


def cubes_found(
    detector: CompactDetector, cubes: Sequence[Specimen], detections: DetectionCache
) -> dict[str, Any]:
    """Return for each cube whether its nodule is detected; what else is marked there may be a nodule too."""
    rows = []
    for cube in progress(cubes, "cubes"):
        box = cube_box(cube)
        candidates = detections(f"cube-{array_digest(cube.hu_DHW)}", partial(detect_in_box, detector, box))
        truth = Spheres(
            np.array([0]), box.grid.to_world(cube.centre[None]), np.array([cube.diameter_mm], dtype=float)
        )
        score = float(match(_marks([candidates]), truth, _none(), scans=1).nodule_score_K[0])
        seen = np.isfinite(score)
        rows.append(
            {"diameter_mm": round(cube.diameter_mm, 1), "probability": rounded(score) if seen else None}
        )
    hits = sum((row["probability"] or 0.0) >= detector.threshold for row in rows)
    return {"count": len(rows), "found": int(hits), "each": rows}


def cube_box(cube: Specimen) -> LungBox:
    """Take a whole cube for lung, with nothing known beyond it: its border is repeated all around.

    The columns added on the right keep the split between the lungs out of the cube.
    """
    depth, rows, columns = cube.hu_DHW.shape
    hu = np.pad(cube.hu_DHW.astype(np.float32), ((0, 0), (0, 0), (0, 2 * columns + 3)), mode="edge")
    mask = np.zeros(hu.shape, dtype=bool)
    mask[:depth, :rows, :columns] = True
    return LungBox(PatientGrid(hu, SPACING_MM, np.zeros(3)), mask)


def second_series(
    detector: CompactDetector, real: Path, detections: DetectionCache
) -> list[dict[str, float]]:
    """Count the marks on a second real DICOM series; nobody annotated it, and it holds small lesions."""
    items = [item for item in scan(real / "ct" / SECOND_SERIES) if item.status == "accepted"]
    candidates = [
        c
        for number, item in enumerate(items)
        for c in detections(f"{SECOND_SERIES}-{number}", partial(_detect, detector, item))
    ]
    _, scores = centres_and_scores(candidates)
    return [{"threshold": t, "marks": int(np.sum(scores >= t))} for t in GRID]


def _detect(detector: CompactDetector, item: SeriesItem) -> list[Candidate]:
    return detector.detect(load(item)).candidates


_FIELDS = ("scan_K", "centre_K3", "diameter_K")


def _tumours(lung: DevelopmentLung, scans: int) -> Spheres:
    centre = lung.box.grid.to_world(np.array([lung.tumour.centre]))
    diameter = lung.tumour.diameter_mm + 2 * TUMOUR_MARGIN_MM
    return Spheres(np.arange(scans), np.repeat(centre, scans, axis=0), np.full(scans, diameter))


def _none() -> Spheres:
    return Spheres(np.zeros(0, dtype=int), np.zeros((0, 3)), np.zeros(0))


def _marks(by_scan: Sequence[Sequence[Candidate]]) -> Marks:
    parts = [centres_and_scores(candidates) for candidates in by_scan]
    scans = [np.full(len(scores), s, dtype=int) for s, (_, scores) in enumerate(parts)]
    centres, scores = (np.concatenate(p) for p in zip(*parts, strict=True))
    return Marks(np.concatenate(scans), centres, scores)


def _texture(rating: float) -> str:
    return TEXTURES[0] if rating < 2.5 else TEXTURES[1] if rating < 4.5 else TEXTURES[2]
