"""The metrics of an app's task that have to survive an export."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# A network by its name: called with the inputs by position.
Replaced = Mapping[str, Callable[..., object]]


@dataclass(frozen=True)
class Metric:
    """A metric of the task. better: "higher" or "lower".

    allowed: the most that may be lost, in the metric's unit, or where it is relative as a share of the value before.
    """

    name: str
    about: str
    better: str
    allowed: float
    relative: bool = False

    def most(self, before: float) -> float:
        """Return the most that may be lost of a value, in the metric's unit."""
        return self.allowed * abs(before) if self.relative else self.allowed

    def lost(self, before: float, after: float) -> float:
        """Return what was lost, below 0 where something was gained; infinite where it cannot be computed any more."""
        loss = before - after if self.better == "higher" else after - before
        return math.inf if math.isnan(loss) else loss


@dataclass(frozen=True, eq=False)
class Task:
    """What the networks are for. measure: networks that stand in for eager ones, by name → metrics by name."""

    about: str
    metrics: tuple[Metric, ...]
    measure: Callable[[Replaced], Mapping[str, float]]
