"""Days that a model saw in its training flatter it: one line of warning where it scores or is judged on them."""

from __future__ import annotations

import sys

import numpy as np

from apps.risk.models.description import Description
from apps.risk.reasons import note
from core.runs.log import RunLog


def warn_of_seen(described: Description, part: str, first: np.datetime64, log: RunLog) -> dict[str, str]:
    """Return {part: last date of the training} where the models of a part have seen the first day, else {}.

    Then print a line to stderr and log it, too. described: of the model; a part ("targets", "event") without `until` is
    not known to have seen anything. first: the first day that is forecast.
    """
    until = seen_until(described, part, first)
    if until is None:
        return {}
    log.event("seen_in_training", name=part)
    # not sys.stderr, which is withheld while a stage runs: see core/terminal/silence.py
    day = str(first.astype("datetime64[D]"))
    print(f"warning: {sentence(part, until, day)}", file=sys.__stderr__, flush=True)
    return {part: until}


def seen_until(described: Description, part: str, first: np.datetime64) -> str | None:
    """Return the last date of the training of a part, where it lies on or after the first day that is forecast."""
    until = described.until(part)
    seen = until is not None and first.astype("datetime64[D]") <= np.datetime64(until, "D")
    return until if seen else None


def sentence(part: str, until: str, day: str | None = None) -> str:
    """Return what page and terminal say of it. day: the first one that is forecast."""
    if day is None:
        return note("seen_before_end", part=part, until=until)
    return note("seen_from_day", part=part, until=until, day=day)
