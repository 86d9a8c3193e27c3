"""From which probability a candidate is a finding, by a rule that was fixed before the weights were measured.

The rule: the lowest threshold, in steps of 0.01, from which on there are at most MOST_FALSE false positives on the
development lung and at most as many a scan on the held-out phantoms. The lowest, because sensitivity only falls as
it rises. Scans of test patients have no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from apps.nodule.metrics.froc import Matched
from apps.nodule.models.compact_detector import CompactDetector, save_compact
from benchmarks.nodule.shares import rounded

MOST_FALSE = 2.0
STEPS = tuple(round(0.01 * i, 2) for i in range(5, 96))


def choose_threshold(sets: Mapping[str, Matched]) -> dict[str, Any]:
    """Return the threshold by the rule, and what each set gives there.

    sets: judged candidates by name. Raises ValueError where no threshold keeps to the rule.
    """
    for t in STEPS:
        false = {name: false_a_scan(matched, t) for name, matched in sets.items()}
        if all(value <= MOST_FALSE for value in false.values()):
            return {"threshold": t, "most_false": MOST_FALSE, "false_positives": false}
    raise ValueError(f"no threshold up to {STEPS[-1]} leaves at most {MOST_FALSE:g} false positives a scan")


def false_a_scan(matched: Matched, threshold: float) -> float:
    """Return false positives a scan from a threshold on."""
    return rounded(np.sum(matched.false_score_M >= threshold) / matched.scans)


def stamp(detector: CompactDetector, threshold: float, version: str, path: Path) -> None:
    """Write the weights with their version and working point."""
    save_compact(detector.net, path, {"threshold": f"{threshold:g}", "version": version})
