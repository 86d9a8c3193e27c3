"""Lungs as plain voxels: what is written is read back by numpy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.load import load
from apps.nodule.data.lung_box import LungBox, lung_box
from apps.nodule.data.raw_volume import write_lung, write_lungs
from apps.nodule.data.resample import PatientGrid
from apps.nodule.data.series import scan
from core.errors import OutputError
from tests.apps.nodule.inputs import good_ct, localiser


def read(header: Path) -> tuple[dict[str, list[str]], np.ndarray, np.ndarray]:
    first, *lines = header.read_text("utf-8").splitlines()
    assert first == "triptych-lung 1"
    values = {key: words for key, *words in (line.split() for line in lines)}
    shape = tuple(map(int, values["shape"]))
    kind = {"float32": "<f4", "int16": "<i2"}[values["type"][0]]
    hu = np.fromfile(f"{header}".removesuffix(".lung") + ".hu", kind).reshape(shape)
    mask = np.fromfile(f"{header}".removesuffix(".lung") + ".mask", np.uint8).reshape(shape)
    return values, hu, mask


@pytest.mark.parametrize("kind", [np.float32, np.int16])
def test_a_lung_is_written_as_it_is(kind: type, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hu_DHW = random.uniform(-1000, 400, (3, 4, 5)).astype(kind)
    box = LungBox(PatientGrid(hu_DHW, 1.0, np.array([-1.1, 2.2, 1 / 3])), random.random((3, 4, 5)) < 0.5)
    values, hu, mask = read(write_lung(box, tmp_path / "new" / "1.2.840"))
    assert [float(word) for word in values["origin_mm"]] == [-1.1, 2.2, 1 / 3]
    assert values["spacing_mm"] == ["1.0"]
    assert values["type"] == [np.dtype(kind).name]
    assert np.array_equal(hu, hu_DHW)
    assert np.array_equal(mask, box.mask_DHW)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "1.2.840.hu", "1.2.840.lung", "1.2.840.mask",
    ]  # fmt: skip


def test_the_chest_cts_of_a_folder_are_written(tmp_path: Path) -> None:
    uid = good_ct(tmp_path / "in")
    localiser(tmp_path / "in")
    (header,) = write_lungs(tmp_path / "in", tmp_path / "out")
    assert header == tmp_path / "out" / f"{uid}.lung"
    _, hu, mask = read(header)
    (item,) = (item for item in scan(tmp_path / "in") if item.id == uid)
    box = lung_box(load(item), 1.0)
    assert np.array_equal(hu, box.grid.hu_DHW)
    assert mask.any()
    assert np.array_equal(mask, box.mask_DHW)


def test_a_full_disk_is_named(small_disk: Path) -> None:
    box = LungBox(
        PatientGrid(np.zeros((99, 99, 99), np.float32), 1.0, np.zeros(3)), np.ones((99, 99, 99), bool)
    )
    with pytest.raises(OutputError):
        write_lung(box, small_disk / "lung")
