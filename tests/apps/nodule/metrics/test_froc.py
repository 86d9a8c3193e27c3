"""LUNA16's rules one by one, then against the plain twin on random and on awkward sets."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.nodule.metrics.froc import RATES, Froc, Marks, Matched, Spheres, froc, match
from core.statistics.bootstrap import resampled_weights
from tests.twins import froc as twin

GOLDEN = Path(__file__).parents[3] / "golden" / "luna16_script.json"
NOTHING = np.zeros((0, 5))


def table(rows: list[tuple[float, ...]]) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, 5)


def marks_of(rows: np.ndarray) -> Marks:
    return Marks(rows[:, 0].astype(int), rows[:, 1:4], rows[:, 4])


def spheres_of(rows: np.ndarray) -> Spheres:
    return Spheres(rows[:, 0].astype(int), rows[:, 1:4], rows[:, 4])


def judged(marks: np.ndarray, nodules: np.ndarray, excluded: np.ndarray = NOTHING, scans: int = 1) -> Matched:
    return match(marks_of(marks), spheres_of(nodules), spheres_of(excluded), scans)


def by_rate(result: Froc) -> dict[float, float]:
    return dict(zip(RATES, result.sensitivity_R.tolist(), strict=True))


def test_a_mark_on_the_surface_misses_and_one_just_inside_hits() -> None:
    nodules = table([(0, 0, 0, 0, 8.0)])
    assert judged(table([(0, 4.0, 0, 0, 0.9)]), nodules).detected == 0
    assert judged(table([(0, 3.999999, 0, 0, 0.9)]), nodules).detected == 1


def test_a_negative_diameter_counts_as_10_mm() -> None:
    nodules = table([(0, 0, 0, 0, -1.0)])
    assert judged(table([(0, 0, 0, 4.999, 0.9)]), nodules).detected == 1
    assert judged(table([(0, 0, 0, 5.0, 0.9)]), nodules).detected == 0


def test_the_highest_score_counts_and_double_hits_are_not_false_positives() -> None:
    matched = judged(
        table([(0, 0, 0, 0, 0.2), (0, 1, 0, 0, 0.7), (0, 0, 1, 0, 0.5)]), table([(0, 0, 0, 0, 9.0)])
    )
    assert matched.nodule_score_K.tolist() == [0.7]
    assert matched.double_hits == 2
    assert len(matched.false_score_M) == 0


def test_one_mark_may_find_two_nodules() -> None:
    matched = judged(table([(0, 0, 0, 0, 0.6)]), table([(0, 1, 0, 0, 6.0), (0, -1, 0, 0, 6.0)]))
    assert matched.nodule_score_K.tolist() == [0.6, 0.6]


def test_marks_on_excluded_findings_are_dropped_but_nodules_come_first() -> None:
    nodules, excluded = table([(0, 0, 0, 0, 6.0)]), table([(0, 2, 0, 0, 6.0)])
    matched = judged(table([(0, 1, 0, 0, 0.9), (0, 4, 0, 0, 0.8), (0, 40, 0, 0, 0.7)]), nodules, excluded)
    assert matched.nodule_score_K.tolist() == [0.9]
    assert matched.on_excluded == 1
    assert matched.false_score_M.tolist() == [0.7]


def test_of_more_than_100_marks_those_strictly_above_the_101st_stay() -> None:
    scores = [1.0 - i / 1000 for i in range(98)] + [0.5] * 5
    marks = table([(0, 100.0 + i, 0, 0, score) for i, score in enumerate(scores)])
    matched = judged(marks, table([(0, 0, 0, 0, 5.0)]))
    assert matched.marks == 98
    assert judged(marks[:100], table([(0, 0, 0, 0, 5.0)])).marks == 100
    assert judged(table([(0, i, 0, 0, 0.3) for i in range(101)]), NOTHING).marks == 0


def test_missed_nodules_stay_in_the_denominator() -> None:
    matched = judged(table([(0, 0, 0, 0, 0.9)]), table([(0, 0, 0, 0, 5.0), (0, 50, 0, 0, 5.0)]))
    assert by_rate(froc(matched, samples=2)) == dict.fromkeys(RATES, 0.5)


def test_sensitivities_by_hand() -> None:
    # four scans; nodules found at scores .9 and .5; false positives at .8, .7, .6 and .4
    #   score      .9    .8    .7    .6    .5    .4
    #   FP/scan     0   1/4   1/2   3/4   3/4     1
    #   found     1/2   1/2   1/2   1/2     1     1
    nodules = table([(0, 0, 0, 0, 5.0), (1, 0, 0, 0, 5.0)])
    hits = [(0, 0, 0, 0, 0.9), (1, 0, 0, 0, 0.5)]
    false = [(s, 90.0, 0, 0, score) for s, score in enumerate((0.8, 0.7, 0.6, 0.4))]
    result = froc(judged(table(hits + false), nodules, scans=4), samples=2)
    assert by_rate(result) == {0.125: 0.5, 0.25: 0.5, 0.5: 0.5, 1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}
    assert result.cpm == pytest.approx(5.5 / 7, abs=1e-12)
    assert result.rate_T.tolist() == [0, 0, 0.25, 0.5, 0.75, 0.75, 1.0]
    assert result.threshold_T.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4]


def test_equal_scores_are_accepted_together_on_a_slope() -> None:
    # one scan: a hit and two false positives share one score, so the curve runs straight from (0, 0) to (2, 1)
    marks = table([(0, 0, 0, 0, 0.5), (0, 50, 0, 0, 0.5), (0, 60, 0, 0, 0.5)])
    result = froc(judged(marks, table([(0, 0, 0, 0, 5.0)])), samples=2)
    assert by_rate(result) == {0.125: 0.0625, 0.25: 0.125, 0.5: 0.25, 1: 0.5, 2: 1.0, 4: 1.0, 8: 1.0}


def test_no_mark_at_all_is_a_sensitivity_of_zero() -> None:
    result = froc(judged(NOTHING, table([(0, 0, 0, 0, 5.0)])), samples=3)
    assert result.cpm == 0.0
    assert result.cpm_interval.tolist() == [0.0, 0.0]


def test_no_nodule_at_all_has_no_sensitivity() -> None:
    result = froc(judged(table([(0, 0, 0, 0, 0.5)]), NOTHING, scans=3), samples=3)
    assert np.isnan(result.sensitivity_R).all()
    assert math.isnan(result.cpm)
    assert np.isnan(result.cpm_interval).all()


def test_one_scan_has_an_interval_of_no_width() -> None:
    result = froc(
        judged(table([(0, 0, 0, 0, 0.5)]), table([(0, 0, 0, 0, 5.0), (0, 9, 9, 9, 5.0)])), samples=5
    )
    assert result.cpm == 0.5
    assert result.cpm_interval.tolist() == [0.5, 0.5]


def random_set(seed: int, scans: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A small world (16 mm, so that much is hit), coarse scores (many ties), empty scans, crowded ones."""
    rng = np.random.default_rng(seed)

    def rows(count: int, last: np.ndarray) -> np.ndarray:
        return np.column_stack([rng.integers(scans, size=count), rng.integers(0, 16, (count, 3)), last])

    crowded = np.column_stack([np.zeros(130), rng.integers(0, 16, (130, 3)), rng.integers(0, 90, 130) / 90])
    marks = rows(60, rng.integers(0, 40, 60) / 40)
    if seed % 3 == 0:
        marks = np.concatenate([marks, crowded])
    nodules = rows(9, rng.choice([-1.0, 4.0, 6.0, 9.0], 9))
    excluded = rows(5, rng.choice([-1.0, 4.0, 12.0], 5))
    near = nodules[rng.integers(9, size=10)]
    near[:, 1:4] += rng.integers(-1, 2, (10, 3))
    near[:, 4] = rng.integers(20, 41, 10) / 40
    marks = np.concatenate([marks, near])
    return marks, nodules, excluded


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), scans=st.integers(1, 6))
def test_the_fast_way_equals_the_plain_twin(seed: int, scans: int) -> None:
    marks, nodules, excluded = random_set(seed, scans)
    rows = twin.judge(marks.tolist(), nodules.tolist(), excluded.tolist(), scans)
    matched = judged(marks, nodules, excluded, scans)
    assert sorted(matched.false_score_M.tolist()) == sorted(row[2] for row in rows if not row[1])
    assert matched.detected == sum(1 for row in rows if row[1] and not row[3])
    result = froc(matched, samples=2)
    assert result.sensitivity_R.tolist() == pytest.approx(twin.seven(rows, scans), abs=1e-12)


def test_the_published_script_gives_the_same_numbers() -> None:
    golden = json.loads(GOLDEN.read_text())["sets"]
    assert len(golden) == 5
    for expected in golden:
        matched = judged(*random_set(expected["seed"], expected["scans"]), scans=expected["scans"])
        counts = {
            "detected": matched.detected,
            "false_positives": len(matched.false_score_M),
            "marks": matched.marks,
            "on_excluded": matched.on_excluded,
            "double_hits": matched.double_hits,
        }
        assert counts == {name: expected[name] for name in counts}
        sensitivity = froc(matched, samples=2).sensitivity_R.tolist()
        assert sensitivity == pytest.approx(expected["sensitivity"], abs=1e-12)
        assert 0.1 < np.mean(sensitivity) < 0.9  # a set in which nothing or all is found would show little


def test_the_bootstrap_equals_evaluating_each_resampled_set_anew() -> None:
    scans = 5
    marks, nodules, excluded = random_set(7, scans)
    rows = twin.judge(marks.tolist(), nodules.tolist(), excluded.tolist(), scans)
    cpms = []
    for weights in resampled_weights(scans, samples=40, seed=11):
        drawn = twin.resampled(rows, np.repeat(np.arange(scans), weights).tolist())
        if any(row[1] for row in drawn):
            cpms.append(float(np.mean(twin.seven(drawn, scans))))
    assert len(cpms) > 30
    cpms.sort()
    expected = [cpms[math.floor(p * len(cpms))] for p in (0.025, 0.975)]
    result = froc(judged(marks, nodules, excluded, scans), samples=40, seed=11)
    assert result.cpm_interval.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_size_of_luna16_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    scans, nodules = 888, 1186
    marks = np.column_stack(
        [np.repeat(np.arange(scans), 100), rng.uniform(0, 300, (88_800, 3)), rng.random(88_800)]
    )
    positions = np.column_stack(
        [rng.integers(scans, size=nodules), rng.uniform(0, 300, (nodules, 3)), np.full(nodules, 30)]
    )
    start = time.perf_counter()
    result = froc(judged(marks, positions, NOTHING, scans), samples=100)
    elapsed = time.perf_counter() - start
    assert result.cpm_interval[0] < result.cpm < result.cpm_interval[1]
    assert elapsed < 5.0  # a tenth of the resamples; about 0.3 s on an idle machine
