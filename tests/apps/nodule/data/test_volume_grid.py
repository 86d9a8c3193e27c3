"""Axes near L, P, S; noise taken out, shear carried or refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from apps.nodule.data.volume_grid import near_lps, settled, to_lps
from core.errors import ItemRefused

VALUES = np.arange(3 * 4 * 5).reshape(3, 4, 5)


def affine_of(directions: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = directions * (0.7, 0.8, 2.5)
    affine[:3, 3] = (-10, -20, 30)
    return affine


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_each_voxel_keeps_its_value_and_position(axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    affine = affine_of(np.eye(3)[:, list(axes)] * signs)
    got, turned = to_lps(VALUES, affine)
    assert (np.diag(turned[:3, 2::-1]) > 0).all()
    positions = {}
    for z, y, x in np.ndindex(VALUES.shape):
        positions[int(VALUES[z, y, x])] = (affine @ (x, y, z, 1))[:3]
    for index in np.ndindex(got.shape):
        np.testing.assert_allclose((turned @ (*index, 1))[:3], positions[int(got[index])], atol=1e-9)


def test_the_axis_of_slices() -> None:
    assert near_lps(affine_of(np.eye(3))) == ((2, 1, 0), (False, False, False))
    assert near_lps(affine_of(np.diag([1, 1, -1]))) == ((2, 1, 0), (True, False, False))


@pytest.mark.parametrize(
    ("noise", "codes"), [(1e-7, []), (2e-4, ["directions_straightened"]), (3e-3, ["sheared"])]
)
def test_noise_in_directions(noise: float, codes: list[str]) -> None:
    rng = np.random.default_rng(1)
    affine = affine_of(np.eye(3) + rng.uniform(-noise, noise, (3, 3)))
    got, notes = settled(affine, (100, 400, 400))
    assert [code for code, _ in notes] == codes
    steps = got[:3, :3] / np.linalg.norm(got[:3, :3], axis=0)
    if codes == ["directions_straightened"]:
        np.testing.assert_allclose(steps.T @ steps, np.eye(3), atol=1e-12)
        middle = (49.5, 199.5, 199.5, 1)
        np.testing.assert_allclose(got @ middle, affine @ middle, atol=1e-9)
        assert np.abs((got - affine) @ (99, 399, 399, 1)).max() < 0.2
    else:
        np.testing.assert_array_equal(got, affine)


@pytest.mark.parametrize("shear", [0.12, 0.4, 0.9])
def test_shear_is_carried_or_refused_as_such(shear: float) -> None:
    directions = np.eye(3)
    directions[1, 2] = shear
    affine = affine_of(directions)
    if shear < np.tan(np.radians(30)):
        got, notes = settled(affine, (3, 4, 5))
        np.testing.assert_array_equal(got, affine)
        degrees = np.degrees(np.arctan(shear))
        assert notes == (
            (
                "sheared",
                f"The volume's axes are sheared by {degrees:.1f} degrees; positions follow the shear exactly.",
            ),
        )
        return
    with pytest.raises(ItemRefused, match=r"sheared by 42\.0 degrees; at most 30 are processed") as caught:
        settled(affine, (3, 4, 5))
    assert caught.value.code == "shear_too_large"
