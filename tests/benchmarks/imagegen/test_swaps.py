"""That memory is measured over all swaps, and stays below the cap."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.imagegen import swaps
from benchmarks.imagegen.swaps import run
from tests.apps.imagegen.tiny import tiny_pipeline


def test_memory_stays_flat_over_many_swaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swaps, "_CAP_MB", 0.2)
    result = run(str(tiny_pipeline(tmp_path / "tiny")), swaps="120")
    assert (result["swaps"], result["cap_mb"]) == (120, 0.2)
    assert 0.1 < result["held_mb_most"] <= 0.2, "the cap is used, and kept"
    assert result["resident_mb_last"] - result["resident_mb_after_a_fifth"] < 2
    assert result["headline"]["growth over the last four fifths"].endswith(" MB")
