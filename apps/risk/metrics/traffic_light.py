"""The supervisor's three zones for the number of exceedances of a VaR.

Source: Basel Committee on Banking Supervision, January 1996, "Supervisory framework for the use of backtesting
in conjunction with the internal models approach to market risk capital requirements" (publication 22), table 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from scipy.stats import binom

from apps.risk.metrics.checks import check_at_least, check_tail_level

YELLOW_FROM = 0.95
RED_FROM = 0.9999
# Additions to the capital multiplier of 3, table 2: for 250 days of a 99 % VaR alone.
PLUS_FACTORS = {5: 0.40, 6: 0.50, 7: 0.65, 8: 0.75, 9: 0.85}
RED_PLUS_FACTOR = 1.0


@dataclass(frozen=True)
class TrafficLight:
    """Zone of a number of exceedances.

    cumulative_probability: of this number or fewer under a true VaR; it decides the zone.
    probability_of_as_many: of this number or more.
    plus_factor: addition to the capital multiplier; NaN unless 250 days of a 99 % VaR were judged.
    """

    zone: Literal["green", "yellow", "red"]
    cumulative_probability: float
    probability_of_as_many: float
    plus_factor: float


def traffic_light(exceedances: int, days: int, level: float = 0.01) -> TrafficLight:
    """Return the zone: yellow from a cumulative probability of 95 % on, red from 99.99 % on.

    level: the tail's probability, 0.01 for a 99 % VaR. Days without a return are the caller's to leave out of
    both numbers. Raises ValueError unless 0 ≤ exceedances ≤ days and days ≥ 1.
    """
    check_tail_level(level)
    check_at_least("days", days, 1)
    if not 0 <= exceedances <= days:
        raise ValueError(f"exceedances are {exceedances}, wanted between 0 and the {days} days")
    cumulative = float(binom.cdf(exceedances, days, level))
    zone: Literal["green", "yellow", "red"] = "green"
    if cumulative >= RED_FROM:
        zone = "red"
    elif cumulative >= YELLOW_FROM:
        zone = "yellow"
    return TrafficLight(
        zone=zone,
        cumulative_probability=cumulative,
        probability_of_as_many=float(binom.sf(exceedances - 1, days, level)),
        plus_factor=_plus_factor(exceedances, zone) if (days, level) == (250, 0.01) else float("nan"),
    )


def _plus_factor(exceedances: int, zone: str) -> float:
    if zone == "red":
        return RED_PLUS_FACTOR
    return PLUS_FACTORS.get(exceedances, 0.0)
