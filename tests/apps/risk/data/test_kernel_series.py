"""Draws of Gaussian processes: their covariance is the kernel's, and futures agree with the past they continue."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data import kernel_series as kernel_series_file
from apps.risk.data.kernel_series import kernel_bank, kernel_series


def test_the_bank_holds_factors_of_kernels_of_unit_variance() -> None:
    bank_ETT = kernel_bank(0, 12, 40)
    assert bank_ETT.shape == (12, 40, 40)
    np.testing.assert_array_equal(bank_ETT, np.tril(bank_ETT))
    np.testing.assert_array_equal(bank_ETT, kernel_bank(0, 12, 40))
    variance = np.einsum("eij,eij->ei", bank_ETT, bank_ETT).mean(axis=1)
    assert (variance > 0.99).all()
    assert (variance < 2.01).all()  # the kernel's 1 and its noise


def test_pasts_and_futures_have_the_kernels_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_series_file, "BENT", 0.0)
    bank_ETT = kernel_bank(5, 1, 12)
    past, future = kernel_series(np.random.default_rng(0), bank_ETT, 60_000, 4, 1)
    whole = np.concatenate([past, future[:, 0]], axis=1)
    assert past.shape == (60_000, 8)
    np.testing.assert_allclose(np.cov(whole.T), bank_ETT[0] @ bank_ETT[0].T, atol=0.03)


def test_a_share_is_positive_and_skewed() -> None:
    bank_ETT = kernel_bank(5, 8, 60)
    past, future = kernel_series(np.random.default_rng(0), bank_ETT, 3000, 10, 2)
    positive = (past.min(axis=1) > 0) & (future.min(axis=(1, 2)) > 0)
    assert 0.3 < positive.mean() < 0.45


def test_futures_of_one_past_begin_near_it_where_the_kernel_is_smooth() -> None:
    time = np.arange(30)
    smooth = np.exp(-0.5 * ((time[:, None] - time) / 20.0) ** 2) + 1e-4 * np.eye(30)
    bank_ETT = np.linalg.cholesky(smooth)[None].astype(np.float32)
    past, future = kernel_series(np.random.default_rng(1), bank_ETT, 200, 10, 8)
    first_step = np.abs(future[:, :, 0] - past[:, None, -1])
    assert np.median(first_step) < 0.1 < np.median(np.abs(past))
