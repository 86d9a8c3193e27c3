from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.nodule.data.training.augment import _mirror, _noise, augment
from apps.nodule.data.training.patch import Patch

EDGE = 20
positions = st.tuples(*[st.integers(3, EDGE - 4)] * 3)


def dark(position: tuple[int, int, int], size: int = 0, hu: float = 3000.0) -> Patch:
    """A patch of air with one bright cube of 2 size + 1 voxels; only its near half is valid."""
    values = np.full((EDGE,) * 3, -1000.0, dtype=np.float32)
    values[tuple(slice(p - size, p + size + 1) for p in position)] = hu
    valid = np.zeros(values.shape, dtype=bool)
    valid[position] = True
    return Patch(values, np.array([position], dtype=float), np.array([7.0]), valid)


@given(positions, st.integers(0, 1000))
def test_mirrors_and_turns_move_the_centre_with_its_voxel(position: tuple[int, int, int], seed: int) -> None:
    before = dark(position)
    after = _mirror(before, np.random.default_rng(seed))
    assert np.argwhere(after.hu_DHW == 3000.0).tolist() == after.centres_N3.tolist()
    assert np.argwhere(after.valid_DHW).tolist() == after.centres_N3.tolist()
    assert before.centres_N3.tolist() == [list(position)]
    assert (before.hu_DHW == 3000.0).sum() == 1


def test_all_sixteen_ways_come_up() -> None:
    position = (4, 6, 11)
    reached = {tuple(_mirror(dark(position), np.random.default_rng(s)).centres_N3[0]) for s in range(300)}
    mirrored = [{p, EDGE - 1 - p} for p in position]
    wanted = {(d, h, w) for d in mirrored[0] for h in mirrored[1] for w in mirrored[2]}
    assert reached == wanted | {(d, w, h) for d, h, w in wanted}
    assert len(reached) == 16


@settings(max_examples=60)
@given(positions, st.integers(0, 10_000))
def test_whatever_is_imitated_the_bright_cube_stays_at_its_label(
    position: tuple[int, int, int], seed: int
) -> None:
    after = augment(dark(position, size=2), np.random.default_rng(seed))
    assert after.hu_DHW.shape == (EDGE,) * 3
    assert after.hu_DHW.dtype == np.float32
    assert after.hu_DHW.flags.c_contiguous
    assert np.isfinite(after.hu_DHW).all()
    bright = np.argwhere(after.hu_DHW > 600)
    # averaging 2 or 4 slices shifts by half a voxel
    assert np.abs(bright.mean(axis=0) - after.centres_N3[0]).max() <= 1.0
    assert after.diameters_N.tolist() == [7.0]
    assert after.valid_DHW.sum() == 1


def test_the_same_generator_gives_the_same_patch_and_leaves_the_source_alone() -> None:
    patch = dark((5, 6, 7))
    before = patch.hu_DHW.copy()
    first, again, other = (augment(patch, np.random.default_rng(s)).hu_DHW for s in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
    assert np.array_equal(patch.hu_DHW, before)


def test_noise_is_centred_and_stays_below_60_hu() -> None:
    deviations = [float(_noise((24,) * 3, np.random.default_rng(seed)).std()) for seed in range(60)]
    assert max(deviations) < 62
    assert max(deviations) > 40
    assert np.median(deviations) < 20
    means = [float(_noise((24,) * 3, np.random.default_rng(seed)).mean()) for seed in range(60)]
    assert abs(np.mean(means)) < 2
