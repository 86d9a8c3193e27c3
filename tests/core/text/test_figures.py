"""Numbers as pages show them."""

from __future__ import annotations

import math

from core.text.figures import bounds, interval, number, percent


def test_a_number_has_its_decimals_and_a_true_minus() -> None:
    assert number(-1.236) == "−1.24"
    assert number(2.0, digits=0) == "2"
    assert number(None) == number(math.nan) == "–"


def test_a_share_is_shown_in_percent() -> None:
    assert percent(0.126) == "13 %"
    assert percent(0.126, digits=1) == "12.6 %"
    assert percent(None) == percent(math.nan) == "–"


def test_an_interval_shows_value_and_bounds() -> None:
    assert interval((0.063, 0.06, 0.067), digits=3) == "0.063 (0.060 to 0.067)"
    assert interval((0.5, 0.25, None), digits=0, factor=100.0) == "50 (25 to –)"
    assert bounds((0.5, -0.25, 0.75), digits=1, factor=10.0) == "−2.5 to 7.5"
    assert interval(None) == interval((math.nan, 0.0, 1.0)) == interval((None, None, None)) == "–"
