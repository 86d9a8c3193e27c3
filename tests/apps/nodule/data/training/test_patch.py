from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.nodule.data.training.patch import cut

HU = np.random.default_rng(0).integers(-1000, 400, (9, 11, 7)).astype(np.int16)
EDGE = 6


def twin(corner: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Voxel by voxel, into arrays of NaN."""
    hu, valid = np.full((EDGE,) * 3, np.nan), np.full((EDGE,) * 3, np.nan)
    for index in np.ndindex(EDGE, EDGE, EDGE):
        at = [c + i for c, i in zip(corner, index, strict=True)]
        nearest = tuple(min(max(a, 0), n - 1) for a, n in zip(at, HU.shape, strict=True))
        hu[index] = HU[nearest]
        valid[index] = all(0 <= a < n for a, n in zip(at, HU.shape, strict=True))
    return hu, valid


@given(st.tuples(*[st.integers(-8, 13)] * 3))
def test_a_cube_anywhere_is_cut_as_voxel_by_voxel(corner: tuple[int, int, int]) -> None:
    hu, valid = cut(HU, np.array(corner), EDGE)
    wanted, known = twin(corner)
    assert hu.dtype == np.float32
    assert valid.dtype == bool
    assert np.array_equal(hu, wanted)
    assert np.array_equal(valid, known)


@pytest.mark.parametrize("corner", [(1, 2, 0), (-1, 2, 0)])
def test_a_cut_is_a_copy(corner: tuple[int, int, int]) -> None:
    before = HU.copy()
    hu, _ = cut(HU, np.array(corner), EDGE)
    hu += 1
    assert np.array_equal(before, HU)
