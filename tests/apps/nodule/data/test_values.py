"""A few images show whether the values of a series are Hounsfield units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.nodule.data.frames import frames_of
from apps.nodule.data.headers import Header, read_header
from apps.nodule.data.modality import rescales_of
from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.values import values_are_hounsfield
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, enhanced_series, save, set_stored


def verdict(images: list[Header]) -> bool:
    datasets = [image.dataset for image in images]
    frames = frames_of(datasets)
    with quiet_libraries():
        return values_are_hounsfield(images, frames, rescales_of(datasets, frames))


@pytest.mark.parametrize("scale", [1, 0.1])
def test_values_of_a_chest(tmp_path: Path, scale: float) -> None:
    datasets = chest_series()
    for dataset, hu_HW in zip(datasets, chest_volume().hu_DHW, strict=True):
        set_stored(dataset, (hu_HW * scale + 1024).astype(np.uint16))
    images = [read_header(path) for path in save(datasets, tmp_path)]
    assert verdict(images) == (scale == 1)


def test_frames_of_one_object(tmp_path: Path) -> None:
    assert verdict([read_header(path) for path in save([enhanced_series(chest_volume())], tmp_path)])


def test_what_cannot_be_read_proves_nothing(tmp_path: Path) -> None:
    paths = save(chest_series(), tmp_path)
    images = [read_header(path) for path in paths]
    paths[0].unlink()
    assert not verdict(images)
