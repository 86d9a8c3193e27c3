from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.report.place import image_number, side_of_body, source_image


@pytest.mark.parametrize(("column", "side"), [(5, "right"), (58, "left"), (32, None)])
def test_side_is_the_patients_and_left_open_in_the_middle(
    volume: Volume, column: int, side: str | None
) -> None:
    centre = volume.to_world(np.array([[20, 30, column]]))[0]
    assert side_of_body(volume, (float(centre[0]), float(centre[1]), float(centre[2]))) == side


def test_side_of_a_volume_stored_from_left_to_right(volume: Volume) -> None:
    flip = np.diag([1.0, 1.0, -1.0, 1.0])
    flip[2, 3] = volume.hu_DHW.shape[2] - 1
    mirrored = Volume(volume.hu_DHW[:, :, ::-1], volume.affine @ flip, "mirrored")
    x, y, z = volume.to_world(np.array([[20, 30, 5]]))[0]
    assert side_of_body(mirrored, (float(x), float(y), float(z))) == "right"


def test_no_body_has_no_side() -> None:
    assert (
        side_of_body(Volume(np.full((4, 8, 8), -1000, np.int16), np.eye(4), "air"), (100.0, 0.0, 0.0)) is None
    )


def test_images_count_from_one_and_stay_inside(volume: Volume) -> None:
    assert image_number(volume, (0.0, 0.0, -80.0)) == 1
    assert image_number(volume, (0.0, 0.0, -80.0 + 2.5 * 7.4)) == 8
    assert image_number(volume, (0.0, 0.0, 900.0)) == 40


def test_source_image_is_the_slices_own_or_none(volume: Volume, enhanced: Volume) -> None:
    header = source_image(volume, 8)
    assert header is not None
    assert header.InstanceNumber == 33
    assert source_image(enhanced, 8) is None
