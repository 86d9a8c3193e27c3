"""Losses against scikit-learn, and what does not count counts for nothing."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import log_loss, mean_pinball_loss

from apps.risk.models.losses import event_loss, quantile_loss

LEVELS = torch.tensor([0.1, 0.5, 0.9])


def test_quantile_loss_is_the_mean_pinball_loss_with_the_tails_weighted_up() -> None:
    generator = np.random.default_rng(0)
    z, actual = generator.normal(size=(4, 6, 3)), generator.normal(size=(4, 2, 6))
    counts = generator.random((4, 2, 6)) < 0.7
    both = np.repeat(z[:, None], 2, axis=1)
    losses = [
        mean_pinball_loss(actual[counts], both[..., i][counts], alpha=a)
        for i, a in enumerate((0.1, 0.5, 0.9))
    ]
    weights = 1 / np.sqrt([0.1 * 0.9, 0.5 * 0.5, 0.9 * 0.1])
    spoiled = np.where(counts, actual, np.nan)
    loss = quantile_loss(*map(torch.from_numpy, (z, spoiled, counts)), LEVELS.double())
    assert np.isclose(loss.item(), np.average(losses, weights=weights))


def test_event_loss_is_the_log_loss() -> None:
    generator = np.random.default_rng(0)
    logit, event = generator.normal(size=50), (generator.random(50) < 0.3).astype(float)
    counts = generator.random(50) < 0.8
    expected = log_loss(event[counts], 1 / (1 + np.exp(-logit[counts])))
    spoiled = np.where(counts, event, np.nan)
    assert np.isclose(event_loss(*map(torch.from_numpy, (logit, spoiled, counts))).item(), expected)


def test_missing_outcomes_leave_the_gradient_finite() -> None:
    z = torch.randn(2, 3, 3, requires_grad=True)
    counts = torch.tensor([[True, False, True], [False, False, False]])
    actual = torch.where(counts, 0.5, torch.nan)
    quantile_loss(z, actual[:, None], counts[:, None], LEVELS).backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()
    assert (z.grad[~counts] == 0).all()
    assert (z.grad[counts] != 0).any()


def test_nothing_that_counts_gives_nought() -> None:
    none = torch.zeros(2, 1, 3, dtype=torch.bool)
    assert quantile_loss(torch.randn(2, 3, 3), torch.full((2, 1, 3), torch.nan), none, LEVELS).item() == 0
    assert (
        event_loss(torch.randn(2), torch.full((2,), torch.nan), torch.zeros(2, dtype=torch.bool)).item() == 0
    )
