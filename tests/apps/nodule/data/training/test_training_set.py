"""What the detector learns from: generated chests and their cache, the user's own volumes, the real folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.nodule.config import DataConfig
from apps.nodule.data.dicom_write import write_ct_series
from apps.nodule.data.luna16 import Annotations, write_annotations
from apps.nodule.data.phantom.phantom import FIRST_TEST_SEED
from apps.nodule.data.series import scan
from apps.nodule.data.training.training_set import (
    CACHE_VERSION,
    DEVELOPMENT_LUNG,
    NODULES_A_PHANTOM,
    TrainingSet,
    _chest,
    _lungs,
    load_training_set,
    lung_of,
)
from apps.nodule.data.volume_files import write_volume_file
from core.errors import InputError
from core.runs.log import RunLog, pseudonym
from tests.apps.nodule.bodies import Ball, Body, small_scan

FIELDS = ("hu_DHW", "centres_N3", "diameters_N", "airy_M3", "dense_M3")
BALL = Ball((40.0, 5.0, -10.0), 12.0)
BODY = Body(lung_mm=(30.0, 35.0, 40.0), balls=(BALL,))


def gather(folder: Path, **fields: Any) -> TrainingSet:
    with RunLog(folder / "log.jsonl") as log:
        return load_training_set(DataConfig(cache=str(folder / "cache"), **fields), 0, log)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one_chest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingSet]:
    folder = tmp_path_factory.mktemp("phantom")
    return folder, gather(folder, source="phantoms", phantoms=1, anatomy_mm=4.0)


def test_a_generated_chest_becomes_a_lung_with_its_nodules(one_chest: tuple[Path, TrainingSet]) -> None:
    folder, material = one_chest
    (scene,) = material.scenes
    assert material.specimens == material.cubes == []
    assert scene.accepts
    fewest, most = NODULES_A_PHANTOM
    assert fewest / 2 < len(scene.centres_N3) <= most  # not every one finds room
    assert (scene.diameters_N > 3).all()
    parenchyma = np.median(scene.hu_DHW[tuple(scene.airy_M3.T)])
    middles = [np.rint(centre).astype(int) for centre in scene.centres_N3]
    inside = np.array(
        [scene.hu_DHW[d - 1 : d + 2, h - 1 : h + 2, w - 1 : w + 2].mean() for d, h, w in middles]
    )
    assert (inside > parenchyma).all()  # small ones, blurred on this coarse grid, are hardly denser
    assert (inside[scene.diameters_N > 7] > -650).all()
    assert (scene.diameters_N > 7).any()
    assert events(folder)[-1]["items"] == 1


def test_a_prepared_lung_is_kept_under_its_version_and_taken_again(
    one_chest: tuple[Path, TrainingSet],
) -> None:
    folder, material = one_chest
    (kept,) = (folder / "cache").iterdir()
    assert kept.name == f"scene-{CACHE_VERSION}-phantom-0-4mm.npz"
    before = kept.stat().st_mtime_ns
    again = gather(folder, source="phantoms", phantoms=1, anatomy_mm=4.0)
    assert kept.stat().st_mtime_ns == before
    for name in FIELDS:
        assert np.array_equal(getattr(again.scenes[0], name), getattr(material.scenes[0], name)), name


def test_a_damaged_file_is_made_again(one_chest: tuple[Path, TrainingSet], tmp_path: Path) -> None:
    folder, _ = one_chest
    shutil.copytree(folder / "cache", tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    gather(tmp_path, source="phantoms", phantoms=1, anatomy_mm=4.0)
    assert kept.read_bytes() == whole


def test_no_seed_trains_on_a_chest_of_the_held_out_set(
    one_chest: tuple[Path, TrainingSet], tmp_path: Path
) -> None:
    """Held-out phantoms have seeds from FIRST_TEST_SEED up; the file's name holds the seed of each chest."""
    (made,) = (one_chest[0] / "cache").iterdir()
    seed = 123_456
    at = seed * 1009 % FIRST_TEST_SEED
    (tmp_path / "cache").mkdir()
    shutil.copy(made, tmp_path / "cache" / f"scene-{CACHE_VERSION}-phantom-{at}-4mm.npz")
    before = sorted((tmp_path / "cache").iterdir())
    with RunLog(tmp_path / "log.jsonl") as log:
        data = DataConfig(source="phantoms", phantoms=1, anatomy_mm=4.0, cache=str(tmp_path / "cache"))
        load_training_set(data, seed, log)
    assert sorted((tmp_path / "cache").iterdir()) == before
    assert at < FIRST_TEST_SEED


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.phantoms=0 leaves no lung to train on"):
        gather(tmp_path, source="phantoms", phantoms=0)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM series and a NIfTI volume, each with the same ball annotated; a cut file; a text."""
    folder = tmp_path_factory.mktemp("own")
    volumes = folder / "volumes"
    body = small_scan(BODY, spacing_mm=(2.0, 1.5, 1.5))
    write_ct_series(body, volumes / "series")
    (series,) = (item.id for item in scan(volumes / "series"))
    write_volume_file(body, volumes / "body.nii.gz")
    whole = (volumes / "body.nii.gz").read_bytes()
    (volumes / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (volumes / "notes.txt").write_text("not an image")
    centres = np.array([BALL.centre_mm, BALL.centre_mm, (0, 0, 0)])
    write_annotations(
        folder / "nodules.csv", Annotations((series, "body", "elsewhere"), centres, np.array([12.0, -1, 5]))
    )
    return folder


def test_own_volumes_of_either_format_become_lungs(own: Path, tmp_path: Path) -> None:
    material = gather(
        tmp_path, source="folder", volumes=str(own / "volumes"), annotations=str(own / "nodules.csv")
    )
    assert len(material.scenes) == 2
    assert [scene.diameters_N.tolist() for scene in material.scenes] == [[12.0], [10.0]]  # unmeasured: 10 mm
    for scene in material.scenes:
        assert not scene.accepts
        bright = np.argwhere(scene.hu_DHW > -400)
        near = bright[np.linalg.norm(bright - scene.centres_N3[0], axis=1) < 11]
        assert np.linalg.norm(near.mean(axis=0) - scene.centres_N3[0]) < 0.8
    patch = material.maker(32, 2.0, {"specimen": 1.0}).draw(np.random.default_rng(0))
    assert len(patch.centres_N3) == 1
    left_out = {line["item"]: line["code"] for line in events(tmp_path) if line["event"] == "left_out"}
    assert left_out[pseudonym("cut")] == "truncated"
    assert len(left_out) == 2
    assert "cut" not in (tmp_path / "log.jsonl").read_text().replace("truncated", "")


def test_annotations_of_no_series_here_are_refused(own: Path, tmp_path: Path) -> None:
    table = tmp_path / "nodules.csv"
    write_annotations(table, Annotations(("other",), np.zeros((1, 3)), np.array([5.0])))
    with pytest.raises(InputError, match="none of the annotations lies in the lungs of a readable series"):
        gather(tmp_path, source="folder", volumes=str(own / "volumes" / "series"), annotations=str(table))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "nodules.csv does not exist"),
        ("", "nodules.csv is empty; wanted the columns seriesuid"),
        ("seriesuid,coordX,coordY,coordZ\n", "nodules.csv row 1 lacks the column diameter_mm"),
        (
            "seriesuid,coordX,coordY,coordZ,diameter_mm\nx,1,2,here,4\n",
            "nodules.csv row 2, column coordZ: the value holds text, wanted a finite number",
        ),
    ],
)
def test_an_unreadable_table_is_named_before_any_volume_is_read(
    own: Path, tmp_path: Path, text: str | None, sentence: str
) -> None:
    table = tmp_path / "nodules.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(InputError) as caught:
        gather(tmp_path, source="folder", volumes=str(tmp_path / "nowhere"), annotations=str(table))
    assert sentence in caught.value.sentence


def test_a_folder_that_is_not_there_is_named(own: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        gather(
            tmp_path,
            source="folder",
            volumes=str(tmp_path / "nowhere"),
            annotations=str(own / "nodules.csv"),
        )
    assert caught.value.code == "input_missing"


def test_real_data_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "ct" / "chest").mkdir(parents=True)  # half a folder does not count
    with pytest.raises(InputError, match=r"data=mixed needs the folder of real CT .*data=phantoms trains on"):
        gather(tmp_path, source="mixed", real=str(tmp_path), phantoms=1, anatomy_mm=4.0)
    assert not (tmp_path / "cache").exists()  # no chest was generated before


def test_a_lung_without_nodules_has_none() -> None:
    scene = lung_of(small_scan(Body()), np.zeros((0, 3)), np.zeros(0), accepts=True)
    assert scene.centres_N3.shape == (0, 3)
    assert scene.accepts


@pytest.mark.realdata
def test_the_development_lung_is_not_trained_on(real_data: Path) -> None:
    names = [name for name, _ in _lungs(real_data)]
    assert len(names) == 5
    assert DEVELOPMENT_LUNG not in names
    assert (real_data / "ct" / "chest" / f"{DEVELOPMENT_LUNG}.nii.gz").is_file()
    assert names == sorted(names)


@pytest.mark.realdata
def test_a_real_lung_shows_its_tumour_where_the_table_says(real_data: Path) -> None:
    name, row = next((n, r) for n, r in _lungs(real_data) if n == "qin_lung_01_0007")
    scene = _chest(real_data, name, row)
    assert scene.diameters_N.tolist() == [29.7]
    d, h, w = np.rint(scene.centres_N3[0]).astype(int)
    assert scene.hu_DHW[d - 3 : d + 4, h - 3 : h + 4, w - 3 : w + 4].mean() > -100
    assert len(scene.airy_M3) > 50_000
    assert len(scene.dense_M3) > 20_000
