"""What of a task metric is lost."""

from __future__ import annotations

import math

from core.export.task import Metric


def test_a_loss_has_the_metrics_direction() -> None:
    higher, lower = Metric("CPM", "", "higher", 0.1), Metric("KID", "", "lower", 0.1)
    assert higher.lost(0.8, 0.5) == lower.lost(0.5, 0.8) > 0
    assert higher.lost(0.5, 0.8) < 0
    assert higher.lost(0.5, math.nan) == math.inf


def test_a_relative_allowance_is_a_share_of_the_value_before() -> None:
    assert Metric("pinball", "", "lower", 0.01, relative=True).most(2.0) == 0.02
    assert Metric("pinball", "", "lower", 0.01, relative=True).most(-2.0) == 0.02
    assert Metric("AUROC", "", "higher", 0.01).most(2.0) == 0.01
