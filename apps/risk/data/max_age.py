"""The greatest age of a series' newest value, as `data.max_age` says it; free of numpy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from apps.risk.reasons import OPTIONS
from core.text.quoting import shortened

OFF = "off"
_HOURS = {"d": 24.0, "h": 1.0, "m": 1 / 60}
_FORM = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(steps?|d|days?|h|hours?|min|minutes?)")


@dataclass(frozen=True)
class MaxAge:
    """A limit: steps of each series' own, or hours; neither, and any age will do."""

    steps: float | None = None
    hours: float | None = None


def parse_max_age(text: str | None) -> MaxAge | None:
    """Return the limit that a text names, None for the default rule (freshness). Raises ConfigError."""
    if text is None:
        return None
    if text.strip() == OFF:
        return MaxAge()
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise OPTIONS("max_age_value", text=shortened(text), off=OFF)
    number, unit = float(match[1]), match[2][0]
    return MaxAge(steps=number) if unit == "s" else MaxAge(hours=number * _HOURS[unit])
