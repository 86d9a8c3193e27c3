"""The rule of the working point, and weights that carry it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nodule.working_point import choose_threshold, false_a_scan
from tests.benchmarks.nodule.test_shares import matched


def test_the_lowest_threshold_with_few_false_positives_in_each_set() -> None:
    lung = matched([], [0.9, 0.62, 0.3], scans=1)
    phantoms = matched([0.99], [0.8] * 3 + [0.5] * 2, scans=2)
    assert choose_threshold({"lung": lung, "phantoms": phantoms}) == {
        "threshold": 0.51,
        "most_false": 2.0,
        "false_positives": {"lung": 2.0, "phantoms": 1.5},
    }
    assert choose_threshold({"lung": lung})["threshold"] == 0.31


def test_a_clean_set_takes_the_lowest_step() -> None:
    assert choose_threshold({"lung": matched([0.2], [], scans=1)})["threshold"] == 0.05


def test_no_threshold_may_do() -> None:
    crowded = matched([], [0.99] * 3, scans=1)
    with pytest.raises(ValueError, match=r"no threshold up to 0.95 leaves at most 2 false positives a scan"):
        choose_threshold({"lung": crowded})


def test_false_positives_are_counted_a_scan() -> None:
    assert false_a_scan(matched([0.9], [0.5, 0.6, 0.7], scans=4), 0.6) == 0.5
    assert false_a_scan(matched([0.9], [], scans=4), 0.0) == 0.0
    assert np.isfinite(false_a_scan(matched([], [0.5], scans=1), 0.5))
