"""What of a task metric is lost."""

from __future__ import annotations

import math

from core.export.task import Metric


def test_a_loss_has_the_metrics_direction() -> None:
    higher, lower = Metric("CPM", "", "higher", 0.1), Metric("KID", "", "lower", 0.1)
    assert higher.lost(0.8, 0.5) == lower.lost(0.5, 0.8) > 0
    assert higher.lost(0.5, 0.8) < 0
    assert higher.lost(0.5, math.nan) == math.inf
