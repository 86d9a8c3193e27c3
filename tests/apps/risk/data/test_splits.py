"""Development before the test, by shares of the calendar."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.splits import split_dates

DAY = np.datetime64("2024-01-01", "us")


def day(number: int) -> np.datetime64:
    return DAY + np.timedelta64(number - 1, "D")


def test_dates_come_from_shares_of_the_calendar() -> None:
    times = np.array([day(number) for number in range(1, 21)])
    assert split_dates(times, development=0.2, test=0.3) == (day(11), day(15))
    with pytest.raises(ValueError, match=r"20 times cannot be parted by development=0 and test=0\.3"):
        split_dates(times, development=0.0, test=0.3)
    with pytest.raises(ValueError, match="cannot be parted"):
        split_dates(times[:2])
