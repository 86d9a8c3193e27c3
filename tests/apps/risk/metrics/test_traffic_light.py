"""Zones, probabilities and plus factors as the Basel Committee and MATLAB print them."""

from __future__ import annotations

import math

import pytest

from apps.risk.metrics.traffic_light import traffic_light

# Publication 22 of the Basel Committee (January 1996), table 2, 250 days of a 99 % VaR:
# exceedances, zone, plus factor, cumulative probability in percent
TABLE_2 = [
    (0, "green", 0.00, 8.11),
    (1, "green", 0.00, 28.58),
    (2, "green", 0.00, 54.32),
    (3, "green", 0.00, 75.81),
    (4, "green", 0.00, 89.22),
    (5, "yellow", 0.40, 95.88),
    (6, "yellow", 0.50, 98.63),
    (7, "yellow", 0.65, 99.60),
    (8, "yellow", 0.75, 99.89),
    (9, "yellow", 0.85, 99.97),
    (10, "red", 1.00, 99.99),
    (11, "red", 1.00, 100.00),
]


@pytest.mark.parametrize(("exceedances", "zone", "plus_factor", "percent"), TABLE_2)
def test_table_2(exceedances: int, zone: str, plus_factor: float, percent: float) -> None:
    light = traffic_light(exceedances, 250)
    assert (light.zone, light.plus_factor) == (zone, plus_factor)
    assert 100 * light.cumulative_probability == pytest.approx(percent, abs=0.0051)


def test_matlabs_documented_figures() -> None:
    # MathWorks, page of varbacktest.tl: 57 failures, 1043 observations, 95 %: green, .77913, type I .26396
    light = traffic_light(57, 1043, 0.05)
    assert light.zone == "green"
    assert light.cumulative_probability == pytest.approx(0.77913, abs=5e-6)
    assert light.probability_of_as_many == pytest.approx(0.26396, abs=5e-6)
    assert math.isnan(light.plus_factor)


def test_forty_exceedances_of_a_90_percent_var_are_yellow() -> None:
    # MathWorks, page of risk.validation.trafficLightVaRTest: 40 exceptions in 250 days at 90 %: amber
    assert traffic_light(40, 250, 0.1).zone == "yellow"


def test_the_two_probabilities_share_the_number_itself() -> None:
    light = traffic_light(3, 250)
    fewer = traffic_light(2, 250)
    assert light.probability_of_as_many == pytest.approx(1.0 - fewer.cumulative_probability)


def test_the_ends() -> None:
    assert traffic_light(0, 250).probability_of_as_many == 1.0
    assert traffic_light(250, 250).zone == "red"
    assert traffic_light(250, 250).plus_factor == 1.0


@pytest.mark.parametrize("exceedances", [-1, 251])
def test_impossible_numbers_are_refused(exceedances: int) -> None:
    with pytest.raises(ValueError, match=f"exceedances are {exceedances}, wanted between 0 and the 250 days"):
        traffic_light(exceedances, 250)


def test_impossible_days_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="days is 0, wanted at least 1"):
        traffic_light(0, 0)
    with pytest.raises(ValueError, match=r"level is 0\.99, wanted the tail's probability"):
        traffic_light(3, 250, 0.99)
