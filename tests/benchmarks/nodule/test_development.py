"""Measuring on development data: inserted nodules, a lung as it is, cubes, a second series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from apps.nodule.data.lung_box import LungBox
from apps.nodule.data.volume import Volume
from apps.nodule.data.volume_files import write_volume_file
from apps.nodule.models.findings import Candidate, Detection
from apps.nodule.models.tiling import slabs
from benchmarks.nodule import development
from benchmarks.nodule.detection_cache import DetectionCache
from benchmarks.nodule.development import (
    DevelopmentLung,
    best_on_tumour,
    cube_box,
    cubes_found,
    development_lung,
    development_table,
    find_in_lung,
    find_inserted,
    groups_at,
    measure_development,
    second_series,
)
from benchmarks.nodule.insertion import Known
from tests.benchmarks.nodule.small import LUNG_HU, detector, lung, specimen

TUMOUR = Known((15.0, 15.0, 15.0), 10.0)


def brightest(_: object, box: LungBox) -> list[Candidate]:
    """Mark the middle of each bright body, and always one position beside them all."""
    labels, count = ndimage.label(box.grid.hu_DHW >= 15)
    middles = ndimage.center_of_mass(labels > 0, labels, range(1, count + 1))
    positions = box.grid.to_world(np.array([*middles, (90.0, 90.0, 90.0)]))
    scores = [0.9] * count + [0.35]
    return [Candidate((x, y, z), 6.0, p) for (x, y, z), p in zip(positions.tolist(), scores, strict=True)]


@pytest.fixture
def detections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DetectionCache:
    monkeypatch.setattr(development, "detect_in_box", brightest)
    return DetectionCache(tmp_path / "detections", "known")


def test_inserted_nodules_are_found_in_the_copy_that_holds_them(detections: DetectionCache) -> None:
    small = DevelopmentLung(lung(), TUMOUR)
    nodules = [specimen(f"LIDC-IDRI-{600 + i // 2:04d}_R_{i}", 3.0, texture=1.0 + i) for i in range(5)]
    faint = specimen("LIDC-IDRI-0700_R_1")
    nodules.append(type(faint)(**{**faint.__dict__, "hu_DHW": np.full_like(faint.hu_DHW, -700)}))
    inserted = find_inserted(detector(), small, nodules, detections)
    assert inserted.matched.scans == 1
    assert sorted(s.key for s in inserted.specimens) == sorted(s.key for s in nodules)
    assert len(set(inserted.owner_K)) == 4
    missed = [
        s.key
        for s, score in zip(inserted.specimens, inserted.matched.nodule_score_K, strict=True)
        if score < 0
    ]
    assert missed == ["LIDC-IDRI-0700_R_1"]
    assert inserted.matched.false_score_M.tolist() == [0.35]
    at = groups_at(inserted, 0.5)
    assert (at["diameter"]["all"]["found"], at["diameter"]["all"]["count"]) == (5, 6)
    assert [at["texture"][name]["count"] for name in ("non-solid", "part-solid", "solid")] == [2, 2, 2]
    assert at["subtlety"]["4"]["count"] == 6
    assert np.all(small.box.grid.hu_DHW == LUNG_HU), "the lung itself is left as it was"


def test_the_tumour_of_the_lung_is_neither_hit_nor_false(detections: DetectionCache) -> None:
    box = lung()
    box.grid.hu_DHW[13:18, 13:18, 13:18] = 50.0
    plain = find_in_lung(detector(), DevelopmentLung(box, TUMOUR), detections)
    assert plain.false_score_M.tolist() == [0.35]
    assert best_on_tumour(plain) == 0.9
    unseen = find_in_lung(detector(), DevelopmentLung(lung(), TUMOUR), detections)
    assert best_on_tumour(unseen) is None
    table = development_table(
        find_inserted(detector(), DevelopmentLung(lung(), TUMOUR), [specimen()], detections), plain
    )
    assert [row["false_positives"] for row in table if row["threshold"] in (0.35, 0.4)] == [1.0, 0.0]
    assert table[0]["large"] == table[0]["all"] == 1.0


def test_a_cube_is_seen_whole_in_one_piece(detections: DetectionCache) -> None:
    cube = specimen("cube-3")
    box = cube_box(cube)
    tiles = list(slabs(box.mask_DHW, 128, (8, 4, 4)))
    assert len(tiles) == 1
    assert tiles[0].low.tolist() == [0, 0, 0]
    assert tiles[0].high.tolist() == [21, 21, 21]
    assert np.array_equal(box.grid.hu_DHW[:, :, :21], cube.hu_DHW)
    cubes = cubes_found(detector(), [cube, specimen("cube-4", radius=3)], detections)
    assert (cubes["count"], cubes["found"]) == (2, 2)
    assert cubes["each"][0] == {"diameter_mm": 8.0, "probability": 0.9}


def test_marks_of_the_second_series_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    affine = np.eye(4)
    affine[:3, :3] = 2 * np.eye(3)[::-1]
    hu = np.random.default_rng(0).integers(-1000, 100, (40, 40, 40)).astype(np.int16)
    folder = tmp_path / "ct" / development.SECOND_SERIES
    folder.mkdir(parents=True)
    write_volume_file(Volume(hu, affine, "x"), folder / "x.nii.gz")
    searching = detector()
    monkeypatch.setattr(
        searching,
        "detect",
        lambda volume: Detection([Candidate((0, 0, 0), 5, 0.5), Candidate((9, 0, 0), 5, 0.2)]),
    )
    rows = second_series(searching, tmp_path, DetectionCache(tmp_path / "detections", "x"))
    assert [row["marks"] for row in rows if row["threshold"] in (0.2, 0.25, 0.5, 0.55)] == [2, 1, 1, 0]


def test_the_record_holds_every_part(
    detections: DetectionCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(development, "development_lung", lambda real: DevelopmentLung(lung(), TUMOUR))
    monkeypatch.setattr(development, "load_vois", lambda folder, split: [specimen()])
    monkeypatch.setattr(development, "load_cubes", lambda folder, split: [specimen("cube-1")])
    monkeypatch.setattr(development, "second_series", lambda *rest: [])
    monkeypatch.setattr(development, "compact_cache", lambda cache, detector: detections)
    record = measure_development(detector(0.3), tmp_path, tmp_path)
    assert json.loads(json.dumps(record)) == record
    assert record["headline"] == {
        "sensitivity ≥ 5 mm": "1.000",
        "false positives on the development lung": "1",
        "threshold": "0.3",
    }
    assert record["inserted"]["copies"] == 1
    assert record["inserted"]["false_positives_a_copy"] == 1.0


@pytest.mark.realdata
def test_the_real_development_lung_has_its_tumour_in_it(real_data: Path) -> None:
    lung = development_lung(real_data)
    d, h, w = (round(v) for v in lung.tumour.centre)
    around = lung.box.grid.hu_DHW[d - 3 : d + 4, h - 3 : h + 4, w - 3 : w + 4]
    assert around.mean() > -300, "a solid tumour"
    assert lung.box.mask_DHW[d, h, w]
