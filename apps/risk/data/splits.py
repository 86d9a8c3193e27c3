"""Parts of a calendar: what came first, development, and the test after both."""

from __future__ import annotations

import numpy as np


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
