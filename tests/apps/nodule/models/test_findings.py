from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.nodule.models.findings import Candidate, Finding


def test_candidates_are_values() -> None:
    candidate = Candidate((1.0, 2.0, 3.0), 8.0, 0.5)
    assert candidate == Candidate((1.0, 2.0, 3.0), 8.0, 0.5)
    assert candidate != Candidate((1.0, 2.0, 3.0), 8.0, 0.6)
    assert len({candidate, Candidate((1.0, 2.0, 3.0), 8.0, 0.5)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError, match="probability"):
        candidate.probability = 1.0  # type: ignore[misc]


def test_findings_are_compared_by_identity() -> None:
    """Equality of masks would be an array, not a truth."""
    candidate = Candidate((1.0, 2.0, 3.0), 8.0, 0.5)
    one, other = (Finding(candidate, np.ones((1, 2, 2), bool), (0, 0, 0), 4.0) for _ in range(2))
    assert one == one
    assert one != other


def test_a_finding_knows_its_slices_and_its_window() -> None:
    mask_DHW = np.zeros((4, 2, 3), bool)
    mask_DHW[1, 0, 0] = mask_DHW[3, 1, 2] = True
    finding = Finding(Candidate((0.0, 0.0, 0.0), 5.0, 0.9), mask_DHW, (10, 20, 30), 2.0)
    assert finding.slices == (11, 13)
    assert finding.window == (slice(10, 14), slice(20, 22), slice(30, 33))
