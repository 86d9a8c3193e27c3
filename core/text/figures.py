"""Numbers as people read them on pages: a true minus sign, a dash for what is not known."""

from __future__ import annotations

import math
from collections.abc import Sequence

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int = 2) -> str:
    """Return a figure with so many decimals; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return DASH
    return f"{value:.{digits}f}".replace("-", MINUS)


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share of 0 to 1 as "12 %"; a dash for None and NaN."""
    text = number(None if share is None else 100.0 * share, digits)
    return text if text == DASH else f"{text} %"


def bounds(estimate: Sequence[float | None], digits: int = 2, factor: float = 1.0) -> str:
    """Return the bounds of (value, low, high), times a factor, as "1.20 to 3.40"."""
    low, high = (number(None if one is None else factor * one, digits) for one in estimate[1:])
    return f"{low} to {high}"


def interval(estimate: Sequence[float | None] | None, digits: int = 2, factor: float = 1.0) -> str:
    """Return (value, low, high), times a factor, as "0.063 (0.060 to 0.067)"; a dash where there is no value."""
    value = None if estimate is None or estimate[0] is None else factor * estimate[0]
    if estimate is None or value is None or math.isnan(value):
        return DASH
    return f"{number(value, digits)} ({bounds(estimate, digits, factor)})"
