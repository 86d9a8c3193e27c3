"""Days that a model saw in its training flatter it: one line of warning where it is judged on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.runs.log import RunLog


def warn_of_seen(described: Mapping[str, Any], part: str, first: np.datetime64, log: RunLog) -> None:
    """Print a line to stderr, and log it, where the models of a part have seen the first day that they are judged on.

    described: model.json; a part ("targets", "event") without `until` is not known to have seen anything.
    """
    until = (described.get(part) or {}).get("until")
    day = first.astype("datetime64[D]")
    if until is None or day > np.datetime64(until, "D"):
        return
    log.event("seen_in_training", name=part)
    print(
        f"warning: models of {part} were trained on data until {until} and are judged on days from {day} on; figures "
        "of days that they have seen flatter them",
        file=sys.stderr,
        flush=True,
    )
