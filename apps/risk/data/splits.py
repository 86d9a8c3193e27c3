"""Parts of a panel by time: training before development before test, none of them sees the next one's answers.

A window belongs to the part in which all its steps ahead lie; one that looks across a border belongs to none. The
past of a window may reach into earlier parts, as it does when the model is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.risk.data.panel import Panel
from apps.risk.data.windows import Windows
from core.errors import InputError


@dataclass(frozen=True, eq=False)
class Splits:
    """Windows to learn from, to choose by, and to judge by once."""

    train: Windows
    development: Windows
    test: Windows


def split_dates(
    calendar_T: np.ndarray, development: float = 0.15, test: float = 0.15
) -> tuple[np.datetime64, np.datetime64]:
    """Return from when on times are development, and from when on test. Shares are of the calendar's times.

    Raises ValueError where a part would be empty.
    """
    first_test = round(len(calendar_T) * (1.0 - test))
    first_development = round(len(calendar_T) * (1.0 - test - development))
    if not 0 < first_development < first_test < len(calendar_T):
        raise ValueError(
            f"{len(calendar_T)} times cannot be parted by development={development:g} and test={test:g}"
        )
    return calendar_T[first_development], calendar_T[first_test]


def split_windows(
    panel: Panel,
    context: int,
    horizon: int,
    development_from: np.datetime64,
    test_from: np.datetime64,
    *,
    shortest: int = 1,
) -> Splits:
    """Return the windows of each part. Raises InputError where the dates leave a part without any."""
    if not development_from < test_from:
        raise InputError(
            "split_empty", f"development begins on {development_from}, which is not before test, {test_from}"
        )
    parts = {
        "train": (None, development_from),
        "development": (development_from, test_from),
        "test": (test_from, None),
    }
    windows = {
        name: Windows(panel, context, horizon, shortest=shortest, begin=begin, end=end)
        for name, (begin, end) in parts.items()
    }
    for name, part in windows.items():
        if not len(part):
            raise InputError(
                "split_empty",
                f"no series has {shortest} rows of past and {horizon} steps ahead within {name}: "
                "move the dates of development and test, or shorten the horizon",
            )
    return Splits(**windows)
