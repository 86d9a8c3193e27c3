"""What a test of a VaR or ES forecast answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BacktestResult:
    """One test of one series of forecasts.

    statistic: the paper's own; NaN where the test says nothing (the function's docstring says when).
    p_value: exact or simulated, the one to decide by. p_asymptotic: from the limit law that the paper gives,
    for comparison with other programs; NaN where the paper gives none.
    days: days that counted; exceedances: those on which the return fell below the VaR.
    """

    statistic: float
    p_value: float
    p_asymptotic: float
    days: int
    exceedances: int
