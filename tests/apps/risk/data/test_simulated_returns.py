"""Generated returns have the marks of real ones, and futures that belong to their past."""

from __future__ import annotations

import numpy as np

from apps.risk.data.simulated_returns import simulated_returns


def test_shapes_and_the_same_seed_gives_the_same_bytes() -> None:
    pasts = [simulated_returns(np.random.default_rng(3), 2, 4, 50, 5, 6) for _ in range(2)]
    assert pasts[0][0].shape == (2, 4, 50)
    assert pasts[0][1].shape == (2, 4, 6, 5)
    for one, same in zip(*pasts, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, same)


def test_tails_are_heavy_variance_clusters_and_members_move_together() -> None:
    past_GMC, _ = simulated_returns(np.random.default_rng(0), 40, 4, 500, 1, 1)
    z = past_GMC - past_GMC.mean(axis=-1, keepdims=True)
    kurtosis = (z**4).mean(axis=-1) / (z**2).mean(axis=-1) ** 2
    size = np.abs(z) - np.abs(z).mean(axis=-1, keepdims=True)
    clusters = (size[..., 1:] * size[..., :-1]).mean(axis=-1) / (size**2).mean(axis=-1)
    together = [np.corrcoef(group)[np.triu_indices(4, 1)].mean() for group in z]
    assert np.median(kurtosis) > 3.5  # 3 of a normal law
    assert np.median(clusters) > 0.05
    assert 0.15 < np.median(together) < 0.75
    assert 0.5 < np.median(z.std(axis=-1)) < 1.5


def test_futures_know_their_past() -> None:
    """After a stormy end of the past the futures are stormy: that is what there is to learn."""
    past_GMC, future_GMKH = simulated_returns(np.random.default_rng(1), 60, 4, 200, 3, 16)
    recent = np.log(np.abs(past_GMC[..., -20:]).mean(axis=-1)).ravel()
    ahead = np.log(np.abs(future_GMKH).mean(axis=(-1, -2))).ravel()
    assert np.corrcoef(recent, ahead)[0, 1] > 0.4
    assert not np.array_equal(future_GMKH[:, :, 0], future_GMKH[:, :, 1])
