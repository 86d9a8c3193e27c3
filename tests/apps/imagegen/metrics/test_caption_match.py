"""Whose prompt wins, by hand, and what chance would give."""

from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.metrics.caption_match import chance_among, match, shuffled, wins


def test_by_hand() -> None:
    score_NK = np.array(
        [[3.0, 1.0, 2.0], [0.0, 0.0, -1.0], [5.0, 4.0, 5.1], [np.nan, 1.0, 2.0], [1.0, np.nan, 0.0]]
    )
    won_N = wins(score_NK, np.array([0, 1, 2, 2, 0]))
    # a tie is lost, and where a score is missing nobody wins
    assert won_N.tolist() == [True, False, True, False, False]
    assert score_NK[0].tolist() == [3.0, 1.0, 2.0], "the scores are not touched"


def test_a_scorer_that_tells_nothing_apart_gets_nothing() -> None:
    assert not wins(np.ones((5, 16)), np.arange(5)).any()


def test_prompts_are_resampled_not_pictures() -> None:
    """Two prompts, one always right and one never: the share is 0.5, and its interval goes from one to the other."""
    own_N = np.repeat([3, 8], 50)
    result = match(own_N == 3, own_N)
    assert result == (0.5, 0.0, 1.0)


def test_a_share_counts_pictures() -> None:
    own_N = np.array([0, 0, 0, 1])
    assert match(np.array([True, True, False, False]), own_N).value == 0.5


def test_shuffled_prompts_give_chance() -> None:
    own_N = np.repeat(np.arange(16), 200)
    score_NK = np.eye(16)[own_N]  # a perfect scorer
    assert wins(score_NK, own_N).all()
    dealt_N = shuffled(own_N)
    assert sorted(dealt_N) == sorted(own_N)
    # 1 in 16, with a deviation of sqrt(p (1 - p) / n) = 0.0043
    assert match(wins(score_NK, dealt_N), dealt_N).value == pytest.approx(1 / 16, abs=4 * 0.0043)


def test_the_chance_among_others_is_that_of_all_draws() -> None:
    score_NN = np.array(
        [[2.0, 1.0, 3.0, 0.0], [9.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]]
    )
    # of three others two are drawn: 1 and 0 (won), 1 and 3, 0 and 3; the fourth is above all, a tie is lost
    chance_N = chance_among(score_NN, np.arange(4), 3)
    np.testing.assert_allclose(chance_N, [1 / 3, 1 / 3, 0.0, 1.0])


def test_captions_of_the_same_owner_are_no_others() -> None:
    score_NN = np.array([[1.0, 5.0, 0.0], [5.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    np.testing.assert_allclose(chance_among(score_NN, np.array([7, 7, 8]), 2), [1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="1 other captions, wanted 2"):
        chance_among(score_NN, np.array([7, 7, 8]), 3)


def test_a_scorer_that_sees_nothing_has_the_chance_of_one_in_sixteen() -> None:
    score_NN = np.random.default_rng(3).random((150, 150))
    chance_N = chance_among(score_NN, np.arange(150), 16)
    assert chance_N.mean() == pytest.approx(1 / 16, abs=4 * chance_N.std() / np.sqrt(150))


@pytest.mark.parametrize(
    ("scores", "own", "message"),
    [
        (np.ones((2, 1)), np.zeros(2, dtype=int), "K 2 or more"),
        (np.ones((2, 3)), np.zeros(3, dtype=int), "of 3 pictures"),
        (np.ones((2, 3)), np.array([0, 3]), "own prompts are 0 to 3 of 3"),
        (np.ones((1, 3)), np.array([-1]), "own prompts are -1 to -1 of 3"),
    ],
)
def test_what_does_not_fit_is_refused(scores: np.ndarray, own: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wins(scores, own)
