"""Training before development before test; no window's answers lie in two parts."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.splits import split_dates, split_windows
from apps.risk.data.windows import Windows
from core.errors import InputError
from tests.apps.risk.data.panels import frame, panel_of

DAY = np.datetime64("2024-01-01", "us")
PANEL = panel_of(
    frame(
        *[(name, day, float(day), 1.0, 1.0, "x", 1) for name in "ab" for day in range(1, 31) if day % 7 != 3]
    )
)


def day(number: int) -> np.datetime64:
    return DAY + np.timedelta64(number - 1, "D")


def answered(windows: Windows, horizon: int) -> set[np.datetime64]:
    """Return the times of all steps ahead."""
    origins = windows.origins(np.arange(len(windows))).numpy()
    rows = (origins[:, None] + np.arange(horizon)).ravel()
    return set(PANEL.calendar_T[PANEL.step_R[rows]])


def test_parts_follow_each_other_and_share_no_answer() -> None:
    parts = split_windows(PANEL, 4, 3, day(16), day(23))
    train, development, test = (answered(part, 3) for part in (parts.train, parts.development, parts.test))
    assert max(train) < day(16) <= min(development)
    assert max(development) < day(23) <= min(test)
    assert max(test) == day(30)
    # by hand, of each series: 13 rows before the 16th, 6 from the 16th to the 22nd, 7 from the 23rd on
    assert [len(part) for part in (parts.train, parts.development, parts.test)] == [2 * 10, 2 * 4, 2 * 5]


def test_dates_come_from_shares_of_the_calendar() -> None:
    times = np.array([day(number) for number in range(1, 21)])
    assert split_dates(times, development=0.2, test=0.3) == (day(11), day(15))
    with pytest.raises(ValueError, match=r"20 times cannot be parted by development=0 and test=0\.3"):
        split_dates(times, development=0.0, test=0.3)
    with pytest.raises(ValueError, match="cannot be parted"):
        split_dates(times[:2])


@pytest.mark.parametrize(
    ("development", "test", "said"),
    [
        (1, 20, "ahead within train"),
        (20, 22, "ahead within development"),
        (20, 30, "ahead within test"),
        (20, 20, "which is not before test"),
    ],
)
def test_an_empty_part_stops(development: int, test: int, said: str) -> None:
    with pytest.raises(InputError) as caught:
        split_windows(PANEL, 4, 3, day(development), day(test))
    assert caught.value.code == "split_empty"
    assert said in caught.value.sentence
