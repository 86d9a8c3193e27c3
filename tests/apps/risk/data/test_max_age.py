"""The option data.max_age: what it takes, and what it refuses in one line."""

from __future__ import annotations

import pytest

from apps.risk.data.max_age import MaxAge, parse_max_age
from core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (None, None),
        ("off", MaxAge()),
        ("3 steps", MaxAge(steps=3)),
        ("1 step", MaxAge(steps=1)),
        ("0.5steps", MaxAge(steps=0.5)),
        ("2 days", MaxAge(hours=48)),
        ("2d", MaxAge(hours=48)),
        ("36 h", MaxAge(hours=36)),
        (" 90 min ", MaxAge(hours=1.5)),
    ],
)
def test_an_age_is_steps_or_time(text: str | None, limit: MaxAge | None) -> None:
    assert parse_max_age(text) == limit


@pytest.mark.parametrize("text", ["", "3", "-1 d", "soon", "3 weeks", "1e3 h", "d", "3 m", "9999999999 d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"data\.max_age=.* is not a valid age: wanted steps or time such as '3 steps'"
    ):
        parse_max_age(text)
