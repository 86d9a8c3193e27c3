"""Mean ranks over criteria, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.metrics.ranking import mean_ranks, winner

NAN = np.nan


def test_ranks_by_hand() -> None:
    loss_MK = np.array([[1.0, 5.0, 2.0], [2.0, 4.0, 2.0], [3.0, 6.0, 1.0]])
    # ranks: 1 2 2.5, 2 1 2.5, 3 3 1
    np.testing.assert_allclose(mean_ranks(loss_MK), [5.5 / 3, 5.5 / 3, 7 / 3])
    assert winner(loss_MK) == 0, "of equal ranks the least first loss"


def test_a_missing_loss_is_the_worst_and_a_criterion_of_none_is_left_out() -> None:
    loss_MK = np.array([[1.0, NAN, NAN], [2.0, 1.0, NAN]])
    np.testing.assert_allclose(mean_ranks(loss_MK), [1.5, 1.5])
    assert winner(loss_MK) == 0
    assert winner(np.array([[NAN, 1.0], [9.0, 1.0]])) == 1


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (np.ones(3), "wanted"),
        (np.ones((0, 2)), "one model at least"),
        (np.full((2, 2), NAN), "no model has a loss"),
    ],
)
def test_nothing_to_rank_is_refused(losses: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mean_ranks(losses)
