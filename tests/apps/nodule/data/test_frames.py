"""Where each image lies: plain CT Image and Enhanced CT."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset

from apps.nodule.data.frames import count_frames, frames_of, group_item, is_multiframe
from core.errors import ItemRefused
from tests.apps.nodule.data.dicom_samples import chest_series, chest_volume, enhanced_series


def test_plain_images() -> None:
    frames = frames_of(chest_series()[:3])
    assert [(frame.source, frame.index) for frame in frames] == [(0, 0), (1, 0), (2, 0)]
    np.testing.assert_allclose(frames[2].position_mm, (-10.5, -20.25, 35.0))
    np.testing.assert_allclose(frames[0].orientation, (1, 0, 0, 0, 1, 0))
    np.testing.assert_allclose(frames[0].spacing_mm, (0.8, 0.7))
    assert frames[0].shape_HW == (32, 40)


def test_enhanced_frames_in_the_order_of_the_object() -> None:
    dataset = enhanced_series(chest_volume(), [5, 0, 3])
    assert is_multiframe(dataset)
    assert count_frames(dataset) == 3
    frames = frames_of([dataset])
    assert [frame.index for frame in frames] == [0, 1, 2]
    np.testing.assert_allclose([frame.position_mm[2] for frame in frames], (42.5, 30.0, 37.5))
    np.testing.assert_allclose(frames[1].spacing_mm, (0.8, 0.7))


def test_a_frame_has_its_own_group_before_the_shared_one() -> None:
    dataset = enhanced_series(chest_volume(), [0, 1])
    own = Dataset()
    own.PixelSpacing = [0.5, 0.6]
    dataset.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [own]
    assert group_item(dataset, 0, "PixelMeasuresSequence").PixelSpacing == [0.8, 0.7]
    assert group_item(dataset, 1, "PixelMeasuresSequence").PixelSpacing == [0.5, 0.6]
    assert group_item(dataset, 1, "CTPositionSequence") is None


def remove(keyword: str) -> Callable[[Dataset], None]:
    return lambda dataset: delattr(dataset, keyword)


def replace(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda dataset: setattr(dataset, keyword, value)


@pytest.mark.parametrize(
    "spoil",
    [
        remove("ImagePositionPatient"),
        remove("ImageOrientationPatient"),
        remove("PixelSpacing"),
        remove("Rows"),
        replace("Rows", 0),
        replace("PixelSpacing", [0.7]),
        replace("PixelSpacing", [0.7, 0]),
        replace("PixelSpacing", [0.7, 700]),
        replace("ImagePositionPatient", [1, 2]),
        replace("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
        replace("ImageOrientationPatient", [1, 0, 0, 0.5, 0.866, 0]),
        replace("NumberOfFrames", 2),
    ],
)
def test_impossible_geometry_is_counted(spoil: Callable[[Dataset], None]) -> None:
    datasets = chest_series()[:4]
    spoil(datasets[1])
    with pytest.raises(ItemRefused) as caught:
        frames_of(datasets)
    assert caught.value.code == "no_geometry"
    assert caught.value.sentence.endswith("is missing or impossible, images: 1.")


def test_a_count_of_frames_that_lies_costs_no_time() -> None:
    dataset = chest_series()[0]
    dataset.NumberOfFrames = 2_000_000_000
    with pytest.raises(ItemRefused, match="images: 1999999999"):
        frames_of([dataset])
