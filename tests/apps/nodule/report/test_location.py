from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.report.location import (
    BETWEEN,
    JOINED,
    NO_BODY,
    NO_LUNG,
    NO_ORIENTATION,
    Side,
    find_side,
    image_number,
    source_image,
)


@pytest.mark.parametrize(("column", "side"), [(5, "right"), (58, "left"), (32, None)])
def test_side_is_the_patients_and_left_open_in_the_middle(
    volume: Volume, column: int, side: str | None
) -> None:
    centre = volume.to_world(np.array([[20, 30, column]]))[0]
    assert find_side(volume, (float(centre[0]), float(centre[1]), float(centre[2]))).name == side


def test_side_of_a_volume_stored_from_left_to_right(volume: Volume) -> None:
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = volume.hu_DHW.shape[2] - 1
    mirrored = Volume(volume.hu_DHW[:, :, ::-1], volume.affine @ flip, "mirrored")
    x, y, z = volume.to_world(np.array([[20, 30, 5]]))[0]
    assert find_side(mirrored, (float(x), float(y), float(z))).name == "right"


def test_no_body_has_no_side() -> None:
    assert (
        find_side(Volume(np.full((4, 8, 8), -1000, np.int16), np.eye(4), "air"), (100.0, 0.0, 0.0)).name
        is None
    )


@pytest.mark.parametrize(("column", "side"), [(26, "right"), (20, "right"), (37, "left"), (44, "left")])
def test_near_the_middle_the_lung_decides(volume: Volume, column: int, side: str) -> None:
    """As in the apex, where the lungs lie within 20 mm of the middle."""
    x, y, z = volume.to_world(np.array([[20, 30, column]]))[0]
    assert abs(x) < 21
    assert find_side(volume, (float(x), float(y), float(z))) == Side(side)


def test_a_shifted_mediastinum_does_not_matter(volume: Volume) -> None:
    """The right lung reaches over the middle of the body: what lies in it is right."""
    hu_DHW = np.full(volume.hu_DHW.shape, 30, np.int16)
    hu_DHW[:, 8:56, 4:38] = -850
    hu_DHW[:, 8:56, 44:60] = -850
    shifted = Volume(hu_DHW, volume.affine, "shifted")
    x, y, z = volume.to_world(np.array([[20, 30, 35]]))[0]
    assert find_side(shifted, (float(x), float(y), float(z))).name == "right"


def test_it_says_why_there_is_no_side(volume: Volume) -> None:
    middle = tuple(float(v) for v in volume.to_world(np.array([[20, 30, 31.5]]))[0])
    solid = Volume(np.full(volume.hu_DHW.shape, 30, np.int16), volume.affine, "solid")
    joined = volume.hu_DHW.copy()
    joined[:, 8:56, 4:60] = -850
    air = Volume(np.full((4, 8, 8), -1000, np.int16), np.eye(4), "air")
    unknown = replace(volume, is_oriented=False)
    cases = ((volume, BETWEEN), (solid, NO_LUNG), (air, NO_BODY), (unknown, NO_ORIENTATION),
             (Volume(joined, volume.affine, "joined"), JOINED))  # fmt: skip
    for seen, why in cases:
        assert find_side(seen, middle) == Side(None, why)


def test_images_count_from_one_and_stay_inside(volume: Volume) -> None:
    assert image_number(volume, (0.0, 0.0, -80.0)) == 1
    assert image_number(volume, (0.0, 0.0, -80.0 + 2.5 * 7.4)) == 8
    assert image_number(volume, (0.0, 0.0, 900.0)) == 40


def test_source_image_is_the_slices_own_or_none(volume: Volume, enhanced: Volume) -> None:
    header = source_image(volume, 8)
    assert header is not None
    assert header.InstanceNumber == 33
    assert source_image(enhanced, 8) is None
