"""The demo's table: each nodule put in, beside the best mark within its radius."""

from __future__ import annotations

import numpy as np

from apps.nodule.data.phantom.nodules import Inserted
from apps.nodule.data.phantom.phantom import PhantomNodule
from apps.nodule.demo import compare
from apps.nodule.models.findings import Candidate

INSERTED = Inserted(np.zeros(3), 8.0, (0, 0, 0), np.ones((1, 1, 1)))
TRUTH = [
    PhantomNodule((10.0, 20.0, 30.0), 8.0, "part_solid", "juxta_pleural", INSERTED),
    PhantomNodule((-40.0, 5.0, 60.0), 6.0, "solid", "isolated", INSERTED),
]


def test_a_mark_within_the_radius_is_a_hit_and_the_rest_is_missed() -> None:
    marks = [Candidate((10.0, 20.0, 33.0), 7.5, 0.9), Candidate((-40.0, 5.0, 63.5), 6.0, 0.8)]
    assert compare(TRUTH, marks) == [
        ["part-solid", "juxta-pleural", "8.0", "0.90", "7.5", "3.0"],
        ["solid", "isolated", "6.0", "missed", "", ""],
    ]


def test_of_two_marks_on_a_nodule_the_more_probable_counts() -> None:
    marks = [Candidate((11.0, 20.0, 30.0), 9.0, 0.7), Candidate((10.0, 20.0, 30.0), 8.0, 0.6)]
    assert compare(TRUTH, marks)[0][3:] == ["0.70", "9.0", "1.0"]


def test_without_marks_all_are_missed() -> None:
    assert [row[3] for row in compare(TRUTH, [])] == ["missed", "missed"]
