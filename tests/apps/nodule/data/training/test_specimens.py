from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from apps.nodule.data.phantom.contours import is_test_patient
from apps.nodule.data.training.specimens import LUNA_DIAMETER, Specimen, load_cubes, load_vois
from tests.apps.nodule.data.training.materials import ball

CUBE = 21


def check(loaded: Specimen) -> None:
    """What holds for every specimen."""
    assert loaded.hu_DHW.dtype == np.int16
    assert loaded.hu_DHW.shape == loaded.outline_DHW.shape == loaded.alpha_DHW.shape
    assert loaded.outline_DHW.dtype == bool
    assert loaded.outline_DHW.any()
    assert np.allclose(loaded.centre, np.argwhere(loaded.outline_DHW).mean(axis=0))
    assert (loaded.alpha_DHW[loaded.outline_DHW] == 1).all()
    assert loaded.alpha_DHW.min() >= 0
    assert loaded.diameter_mm > 0


def write_vois(folder: Path, splits: list[str], empty: int | None = None) -> None:
    """Balls of 8 mm on grids of (2.5, 0.7, 0.7) mm, in the folder's own layout."""
    rows = []
    for name in ("image", "mask"):
        (folder / "vois" / name).mkdir(parents=True)
    for i, split in enumerate(splits):
        shape, spacing = (12, 40, 44), np.array([2.5, 0.7, 0.7])
        axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, spacing, strict=True)], indexing="ij")
        middle = (np.array(shape) - 1) * spacing / 2
        away = np.sqrt(sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)))
        mask = (away <= 4) & (i != empty)
        hu = np.where(mask, 30, -800).astype(np.int16)
        for name, array in (("image", hu), ("mask", mask.astype(np.uint8))):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(spacing[::-1].tolist())
            image.SetOrigin((-30.0, 12.0, 400.0 + i))
            sitk.WriteImage(image, str(folder / "vois" / name / f"key{i}.nii.gz"))
        rows.append(
            {"key": f"key{i}", "split": split, "diameter_mm": 7.5, "Texture_value": 5, "Subtlety_value": 3}
        )
    pd.DataFrame(rows).to_csv(folder / "vois.csv", index=False)


def write_cubes(folder: Path, splits: list[str], empty: int | None = None) -> None:
    cover = ball((CUBE,) * 3, (9.0, 10.0, 11.0), 9.0)
    masks = np.stack([(cover > 0.5) & (i != empty) for i in range(len(splits))]).astype(np.uint8)
    hu = np.where(masks > 0, 40, -850).astype(np.int16)
    np.savez(folder / "cubes.npz", hu=hu, mask=masks)
    pd.DataFrame({"index": range(len(splits)), "split": splits}).to_csv(folder / "cubes.csv", index=False)


def test_vois_are_brought_to_1_mm_with_their_outline_and_ratings(tmp_path: Path) -> None:
    write_vois(tmp_path, ["train", "development", "train"])
    loaded = load_vois(tmp_path, "train")
    assert [s.key for s in loaded] == ["key0", "key2"]
    for specimen in loaded:
        check(specimen)
        assert specimen.hu_DHW.shape == (28, 28, 31)
        assert specimen.diameter_mm == 7.5  # as LUNA16 gives it
        assert specimen.ratings == {"texture": 5.0, "subtlety": 3.0}
        assert specimen.outline_DHW.sum() == pytest.approx(np.pi / 6 * 8**3, rel=0.15)
        assert specimen.hu_DHW[tuple(np.rint(specimen.centre).astype(int))] == 30
    assert [s.key for s in load_vois(tmp_path, "development")] == ["key1"]


def test_a_voi_without_an_outline_is_left_out(tmp_path: Path) -> None:
    write_vois(tmp_path, ["train", "train"], empty=0)
    assert [s.key for s in load_vois(tmp_path, "train")] == ["key1"]


def test_cubes_are_read_as_they_are(tmp_path: Path) -> None:
    write_cubes(tmp_path, ["train", "train", "development"], empty=1)
    (loaded,) = load_cubes(tmp_path, "train")
    check(loaded)
    assert loaded.key == "cube-0"
    assert loaded.centre.tolist() == [9.0, 10.0, 11.0]
    volume = float(loaded.outline_DHW.sum())
    assert loaded.diameter_mm == pytest.approx(LUNA_DIAMETER * np.cbrt(6 / np.pi * volume))
    assert [s.key for s in load_cubes(tmp_path, "development")] == ["cube-2"]


def test_the_border_fades_from_one_to_three_mm(tmp_path: Path) -> None:
    write_cubes(tmp_path, ["train"])
    (loaded,) = load_cubes(tmp_path, "train")
    line = loaded.alpha_DHW[9, 10]  # through the centre along W; the outline ends at 11 ± 4
    assert loaded.outline_DHW[9, 10].nonzero()[0].tolist() == list(range(7, 16))
    assert line[6:17].tolist() == [1.0] * 11
    assert line[17] == pytest.approx(0.5)
    assert line[18] == line[4] == 0.0


@pytest.mark.realdata
def test_the_real_nodules_are_all_there_and_none_is_of_a_test_patient(real_data: Path) -> None:
    folder = real_data / "ct" / "lidc-nodules"
    vois, cubes = pd.read_csv(folder / "vois.csv"), pd.read_csv(folder / "cubes.csv")
    assert vois["split"].value_counts().to_dict() == {"train": 578, "development": 322}
    assert cubes["split"].value_counts().to_dict() == {"train": 120, "development": 10}
    patients: dict[str, set[int]] = {"train": set(), "development": set()}
    for split in patients:
        patients[split] |= {int(p.split("-")[-1]) for p in vois[vois["split"] == split]["patient_id"]}
        for low, high in cubes[cubes["split"] == split][["lidc_patient_lo", "lidc_patient_hi"]].to_numpy():
            patients[split] |= set(range(int(low), int(high) + 1))
    assert len(patients["train"]) > 200
    assert len(patients["development"]) > 100
    assert patients["train"] & patients["development"] == set()
    for number in patients["train"] | patients["development"]:
        assert number not in (1, 2, 3, 63)
        assert number < 900
        assert not is_test_patient(number)


@pytest.mark.realdata
@pytest.mark.parametrize(("split", "count"), [("train", 120), ("development", 10)])
def test_real_cubes(real_data: Path, split: str, count: int) -> None:
    loaded = load_cubes(real_data / "ct" / "lidc-nodules", split)
    assert len(loaded) == count
    for specimen in loaded:
        check(specimen)
        assert specimen.hu_DHW.shape == (51, 51, 51)
        assert 2 < specimen.diameter_mm < 45
    # the table's own figures, made when the cubes were collected
    table = pd.read_csv(real_data / "ct" / "lidc-nodules" / "cubes.csv")
    table = table[table["split"] == split]
    medians = [np.median(s.hu_DHW[s.outline_DHW]) for s in loaded]
    assert np.abs(medians - table["hu_median_in_mask"].to_numpy()).max() <= 1
    assert [s.key for s in loaded] == [f"cube-{i}" for i in table["index"]]


@pytest.mark.realdata
def test_real_vois(real_data: Path) -> None:
    loaded = load_vois(real_data / "ct" / "lidc-nodules", "development")
    assert len(loaded) == 322
    for specimen in loaded:
        check(specimen)
        assert 3 <= specimen.diameter_mm < 40
        assert 1 <= specimen.ratings["texture"] <= 5
        assert 1 <= specimen.ratings["subtlety"] <= 5
    volumes = np.array([np.cbrt(6 / np.pi * s.outline_DHW.sum()) for s in loaded])
    ratio = float(np.median([s.diameter_mm for s in loaded] / volumes))
    assert ratio == pytest.approx(LUNA_DIAMETER, abs=0.05)
