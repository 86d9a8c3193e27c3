"""Order, gaps, tilt and the affine, against the equation of DICOM PS3.3 C.7.6.2.1.1 written out afresh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.nodule.data.frames import Frame
from apps.nodule.data.geometry import degrees_off_axial, grid_of, slice_normal
from core.errors import ItemRefused

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def stack(positions, orientation=AXIAL, spacing=(0.8, 0.7), shape=(32, 40)) -> list[Frame]:
    return [
        Frame(number, 0, np.array(position, float), np.array(orientation, float), np.array(spacing), shape)
        for number, position in enumerate(positions)
    ]


def along_z(values) -> list[Frame]:
    return stack([(-10.0, -20.0, z) for z in values])


def refusal(frames: list[Frame]) -> tuple[str, str]:
    with pytest.raises(ItemRefused) as caught:
        grid_of(frames)
    return caught.value.code, caught.value.sentence


def rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [k for k in range(3) if k != axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = c, c, -s, s
    return matrix


ORIENTATIONS = {
    "head first supine": np.eye(3),
    "prone": np.diag([-1.0, -1.0, 1.0]),
    "feet first, seen from above": np.diag([-1.0, 1.0, -1.0]),
    "oblique": rotation(0, 20) @ rotation(1, -15) @ rotation(2, 8),
}


@pytest.mark.parametrize("turn", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_affine_maps_an_index_as_the_standard_maps_a_pixel(turn: np.ndarray) -> None:
    row_direction, column_direction, normal = turn.T
    origin, row_spacing, column_spacing, step = np.array([3.0, -7.0, 11.0]), 0.8, 0.7, 2.5
    positions = [origin + d * step * normal for d in range(9)]
    frames = stack(
        positions, np.concatenate([row_direction, column_direction]), (row_spacing, column_spacing)
    )
    grid = grid_of([frames[i] for i in (4, 1, 8, 0, 2, 6, 3, 7, 5)])
    for d, h, w in ((0, 0, 0), (3, 5, 0), (8, 31, 39)):
        # PS3.3 C.7.6.2.1-1: P = S + X * (column spacing) * column index + Y * (row spacing) * row index
        expected = positions[d] + row_direction * column_spacing * w + column_direction * row_spacing * h
        np.testing.assert_allclose(grid.affine @ (d, h, w, 1), [*expected, 1], atol=1e-9)
    assert [members[0] for members in grid.slices] == [3, 1, 4, 6, 0, 8, 5, 7, 2]
    assert grid.step_mm == pytest.approx(step)
    assert grid.notes == ()


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(12)))
def test_order_of_files_does_not_matter(order: list[int]) -> None:
    frames = along_z(np.arange(12) * 1.25)
    grid = grid_of([frames[i] for i in order])
    assert [order[members[0]] for members in grid.slices] == list(range(12))
    np.testing.assert_array_equal(grid.affine, grid_of(frames).affine)


def test_positions_printed_with_one_decimal_are_regular() -> None:
    grid = grid_of(along_z(np.round(np.arange(60) * 0.725, 1)))
    assert grid.step_mm == pytest.approx(0.725, abs=0.1 / 59)


def test_gaps_are_counted_and_placed() -> None:
    z = [value for value in np.arange(30) * 2.5 - 40 if value not in (-30.0, 0.0, 2.5)]
    assert refusal(along_z(z)) == (
        "missing_slices",
        "Slices missing: 3 (along the normal: 1 between -32.5 and -27.5 mm, 2 between -2.5 and 5.0 mm).",
    )


def test_many_gaps_are_summed_up() -> None:
    z = [d * 1.0 for d in range(60) if d not in (5, 12, 20, 31, 44)]
    code, sentence = refusal(along_z(z))
    assert code == "missing_slices"
    assert sentence.endswith("1 between 19.0 and 21.0 mm and 2 more gaps).")


def test_uneven_steps_are_not_a_gap() -> None:
    z = np.concatenate([np.arange(20) * 2.5, 51.1 + np.arange(10) * 3.6])
    assert refusal(along_z(z)) == (
        "uneven_spacing",
        "The slices lie unevenly: 2.50 to 3.60 mm apart along the slice normal.",
    )


def test_slices_shifted_in_their_plane_are_refused() -> None:
    positions = [(0.0, 5.0 * (d >= 10), 2.5 * d) for d in range(20)]
    code, sentence = refusal(stack(positions))
    assert code == "uneven_positions"
    assert sentence == "The slices lie up to 2.37 mm off a straight line."


def test_equal_positions_share_an_index() -> None:
    grid = grid_of(along_z([0, 1, 1.001, 2, 3, 0]))
    assert grid.slices == ((0, 5), (1, 2), (3,), (4,))


def test_one_position_for_all_is_refused() -> None:
    assert refusal(along_z([5.0] * 30)) == (
        "duplicates_differ",
        "Slice positions taken by images that differ: 1.",
    )


@pytest.mark.parametrize("degrees", [-25.0, 12.0, 29.9])
def test_tilt_is_carried_by_a_sheared_affine(degrees: float) -> None:
    # The gantry leans about x while the table moves along z: PS3.3 C.8.2.1.1.5 (GantryDetectorTilt).
    turn = rotation(0, degrees)
    positions = [(0.0, 0.0, 2.5 * d) for d in range(20)]
    grid = grid_of(stack(positions, np.concatenate([turn[:, 0], turn[:, 1]])))
    np.testing.assert_allclose(grid.affine[:3, 0], (0, 0, 2.5), atol=1e-9)
    np.testing.assert_allclose(grid.affine[:3, 1], turn[:, 1] * 0.8, atol=1e-9)
    volume_mm3 = abs(np.linalg.det(grid.affine[:3, :3]))
    assert volume_mm3 == pytest.approx(2.5 * 0.8 * 0.7 * np.cos(np.radians(degrees)))
    sentence = f"The gantry was tilted by {abs(degrees):.1f} degrees; positions follow the tilt exactly."
    assert grid.notes == (("gantry_tilt", sentence),)


def test_tilt_beyond_the_limit_is_refused() -> None:
    turn = rotation(0, 34)
    frames = stack([(0.0, 0.0, 2.5 * d) for d in range(20)], np.concatenate([turn[:, 0], turn[:, 1]]))
    assert refusal(frames) == (
        "tilt_too_large",
        "The gantry is tilted by 34.0 degrees; at most 30 are processed.",
    )


def test_mixtures_are_counted() -> None:
    good = along_z(np.arange(20) * 2.5)
    small = stack([(0, 0, 100)], shape=(16, 16))
    turned = stack([(0, 0, 100)], orientation=(1, 0, 0, 0, 0, -1))
    wide = stack([(0, 0, 100)], spacing=(0.8, 0.9))
    assert refusal(good + small) == ("mixed_sizes", "The images of the series have 2 different sizes.")
    assert refusal(good + turned) == (
        "mixed_orientations",
        "The images of the series have 2 different orientations.",
    )
    assert refusal(good + wide) == (
        "mixed_spacings",
        "The images of the series have 2 different pixel spacings.",
    )


def test_normal_and_angle() -> None:
    np.testing.assert_allclose(slice_normal(np.array(AXIAL)), (0, 0, 1))
    np.testing.assert_allclose(slice_normal(np.array([1, 0, 0, 0, 0, -1.0])), (0, 1, 0))
    assert degrees_off_axial(np.array([1, 0, 0, 0, 0, -1.0])) == pytest.approx(90)
    assert degrees_off_axial(np.array([-1, 0, 0, 0, 1.0, 0])) == pytest.approx(0)
    assert degrees_off_axial(np.concatenate([rotation(1, 30)[:, 0], rotation(1, 30)[:, 1]])) == pytest.approx(
        30
    )
