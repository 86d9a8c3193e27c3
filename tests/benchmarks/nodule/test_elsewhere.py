"""Bodies without lungs: the real detector says so of each, and a detector that marks anything is counted."""

from __future__ import annotations

import numpy as np
import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Detection
from apps.nodule.reasons import note
from benchmarks.nodule.elsewhere import PARTS, SPACING_MM, make_part, search_elsewhere
from tests.benchmarks.nodule.small import detector


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_the_same_each_time_and_another_by_seed(name: str) -> None:
    first, again, other = (make_part(name, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.hu_DHW, again.hu_DHW)
    assert not np.array_equal(first.hu_DHW, other.hu_DHW)
    assert first.spacing_mm == pytest.approx([SPACING_MM] * 3)
    tissue = ((first.hu_DHW > -200) & (first.hu_DHW < 200)).mean()
    assert 0.05 < tissue < 0.9


def test_no_lung_is_found_in_any_part() -> None:
    result = search_elsewhere(detector(), each=1)
    assert (result["series"], result["no_lung"], result["findings"]) == (4, 4, 0)


def test_findings_and_missing_notes_are_counted() -> None:
    class Marks:
        name, version, threshold = "marks", "1", 0.5

        def detect(self, volume: Volume) -> Detection:
            if volume.uid.startswith("legs"):
                return Detection([], (note("no_lung", limit=20),))
            return Detection([Candidate((0.0, 0.0, 0.0), 8.0, p) for p in (0.7, 0.5, 0.4)])

    result = search_elsewhere(Marks(), each=2)
    assert (result["series"], result["no_lung"], result["findings"]) == (8, 2, 12)
    assert result["parts"]["legs"] == {"series": 2, "no_lung": 2, "findings": 0}
