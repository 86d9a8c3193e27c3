"""Shares by group, their intervals, and the table by threshold."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.metrics.froc import Matched
from apps.nodule.models.findings import Candidate
from benchmarks.nodule.shares import GRID, by_diameter, by_word, centres_and_scores, share, shares, table


def matched(nodules: list[float], false: list[float], scans: int = 2) -> Matched:
    zeros = np.zeros(len(nodules), dtype=int)
    return Matched(scans, zeros, np.array(nodules), np.zeros(len(false), dtype=int), np.array(false), 0, 0, 0)


def test_a_share_counts_nodules_and_resamples_owners() -> None:
    hit = np.array([True, True, False, True])
    result = share(hit, ["a", "a", "b", "c"], np.array([True, True, True, False]))
    assert (result["count"], result["found"], result["sensitivity"]) == (3, 2, pytest.approx(0.6667))
    # two owners: one all found, one all missed
    assert result["interval"] == [0.0, 1.0]


def test_an_empty_group_has_no_sensitivity() -> None:
    none = share(np.array([True]), ["a"], np.array([False]))
    assert none == {"count": 0, "found": 0, "sensitivity": None, "interval": None}


def test_groups_of_diameters_meet_without_gap() -> None:
    groups = by_diameter(np.array([3.0, 5.0, 9.99, 10.0, 30.0]))
    assert {name: member.sum() for name, member in groups.items()} == {
        "< 5 mm": 1,
        "5–10 mm": 2,
        "> 10 mm": 2,
        "≥ 5 mm": 4,
        "all": 5,
    }


def test_groups_of_words_keep_their_order() -> None:
    groups = by_word(["b", "a", "b"], ("a", "b", "c"))
    assert list(groups) == ["a", "b", "c"]
    result = shares(np.array([True, True, False]), ["x", "y", "z"], groups)
    assert [result[name]["count"] for name in groups] == [1, 2, 0]
    assert result["b"]["sensitivity"] == 0.5


def test_the_table_counts_at_and_above_a_threshold() -> None:
    rows = table(matched([0.9, 0.5, -np.inf], [0.5, 0.7]), np.array([True, False, True]), (0.5, 0.51))
    assert rows == [
        {"threshold": 0.5, "all": 0.6667, "large": 0.5, "false_positives": 1.0},
        {"threshold": 0.51, "all": 0.3333, "large": 0.5, "false_positives": 0.5},
    ]
    assert len(table(matched([0.5], []), np.array([False]))) == len(GRID) == 19


def test_no_candidate_gives_empty_arrays() -> None:
    centres, scores = centres_and_scores([])
    assert centres.shape == (0, 3)
    assert scores.shape == (0,)
    centres, scores = centres_and_scores([Candidate((1, 2, 3), 5, 0.5)])
    assert centres.tolist() == [[1, 2, 3]]
    assert scores.tolist() == [0.5]
