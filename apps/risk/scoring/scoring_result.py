"""What a scoring of one date wrote, and what it set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from apps.risk.data.as_of_time import AsOf
from apps.risk.data.load import Loaded
from apps.risk.scoring.score_rows import Refused, Tally
from apps.risk.scoring.scores import FEW
from core.errors import ExitCode


@dataclass(frozen=True)
class Counts:
    """Entities of a date. scored: those with numbers for some label. refused: reason code → the others, sorted."""

    scored: int
    refused: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class ScoringResult:
    """The scores of one date, on disk.

    folder: the partition `scores/as_of=LABEL`, which `partition.read_batches` reads. as_of: the time of which the
    future was unknown. counts: entities with and without numbers. refused: series and portfolios without numbers for
    a target or the event, sorted. rejected: rows of the table that were set aside (row, entity, column, code,
    sentence, content). alerts: alert code → rows of the scores. few: series of fewer than FEWEST observations, one
    for each target. later_rows: rows of the table that became known after the as-of time. seen_in_training: "targets"
    or "event" → last date of a training that saw days which are forecast here. seconds_model: that loading the model
    took. runtimes: "targets" or "event" → the format in which exported networks ran.
    """

    folder: Path
    as_of: AsOf
    counts: Counts
    refused: tuple[Refused, ...]
    rejected: pd.DataFrame
    alerts: Mapping[str, int]
    few: int
    later_rows: int
    seen_in_training: Mapping[str, str]
    seconds_model: float
    runtimes: Mapping[str, str]

    @property
    def set_aside(self) -> int:
        """Rows, and pairs of a series or portfolio and a label, that have no numbers."""
        return len(self.rejected) + len(self.refused)

    @property
    def exit_code(self) -> ExitCode:
        """4 where a row, a series or a portfolio was set aside, else 0."""
        return ExitCode.QUARANTINED if self.set_aside else ExitCode.DONE

    @property
    def metrics(self) -> dict[str, Any]:
        """What metrics.json says of it, and triptych-jobs of a scheduled scoring."""
        return {
            "as_of": self.as_of.text,
            "scored": self.counts.scored,
            "refused": dict(self.counts.refused),
            "rejected_rows": len(self.rejected),
            "set_aside": self.set_aside,
            "alerts": dict(self.alerts),
            FEW: self.few,
            "exit_code": int(self.exit_code),
            **({"runtimes": dict(self.runtimes)} if self.runtimes else {}),
        }


def counts_of(loaded: Loaded, tally: Tally) -> Counts:
    """Return how many entities of a table have numbers, and how many have none for any label."""
    refused = tally.refused(len(loaded.columns.labels))
    total = len(loaded.panel.entities) + len(loaded.refused)
    return Counts(total - len(refused), dict(sorted(Counter(refused.values()).items())))


def result_of(
    folder: Path,
    loaded: Loaded,
    tally: Tally,
    seen: Mapping[str, str],
    seconds_model: float,
    runtimes: Mapping[str, str],
) -> ScoringResult:
    """Return the result of a scoring whose partition is written."""
    return ScoringResult(
        folder=folder,
        as_of=loaded.as_of,
        counts=counts_of(loaded, tally),
        refused=tuple(sorted(tally.aside)),
        rejected=loaded.checked.rejected,
        alerts=dict(sorted(tally.alerts.items())),
        few=tally.few,
        later_rows=loaded.checked.later,
        seen_in_training=dict(seen),
        seconds_model=seconds_model,
        runtimes=dict(runtimes),
    )
