"""GJR-GARCH(1, 1, 1) with Hansen's skewed t: fitted by the package arch, filtered and simulated here.

Sources: Glosten, Jagannathan & Runkle 1993, doi:10.1111/j.1540-6261.1993.tb05128.x; Hansen 1994,
doi:10.2307/2527081. Variance: s[t + 1] = omega + (alpha + gamma 1[shock < 0]) shock² + beta s[t].
Only what is handed in is seen: hand in the past of the as-of date. Nothing here raises on data: a series that
cannot be fitted falls back to a rule, or is refused, with a reason code:
all_missing, too_short (fewer than SHORTEST values): refused. fit_short (fewer than SHORTEST_FIT), fit_failed (no
convergence, or parameters that explode): exponentially weighted variance of decay .94 (RiskMetrics technical document,
J.P. Morgan 1996), with Student's t of 5 degrees (Zumbach 2007, doi:10.2139/ssrn.1420185), the history's mean.
constant: variance 0.
Legend: S paths, N entities, H steps of the horizon, T past steps, D days of a walk, K known values of one entity,
L levels. Missing values are gaps over which the filter runs as if there were none. Units: the series' own.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammaln, stdtrit

from apps.risk.models.forecast import TAIL_LEVELS, PathForecast, tail_of
from apps.risk.models.joint_days import JointDays
from apps.risk.models.strata import strata
from apps.risk.models.volatility import (
    DECAY,
    PATHS,
    RESIDUALS,
    SHORTEST,
    backcast,
    checked,
    finished,
    recursion,
    residuals,
    simulated,
)

if TYPE_CHECKING:
    from arch.univariate import SkewStudent

SHORTEST_FIT = 250  # known values from which seven parameters are estimated
LONGEST_FIT = 2500  # the last known values that a fit uses
REFIT = 20  # steps between fits
_SMALLEST = (
    1e-12  # standard deviation relative to the size of the values: below it a series counts as constant
)


@dataclass(frozen=True)
class Gjr:
    """Parameters of one entity, a Volatility: in the series' unit (mean), its square (omega, start) or none.

    eta: degrees of freedom, above 2; skew: -1..1, negative for a heavier lower tail. start: variance of the first
    step. reason: '' or the code of a fallback or refusal; NaN everywhere where refused.
    """

    mean: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    eta: float
    skew: float
    start: float
    reason: str = ""

    def variances(self, value_K: np.ndarray) -> np.ndarray:
        """Return the variance forecast before each of K values and after the last, (K + 1,)."""
        shock_K = value_K - self.mean
        return recursion(self.omega + self._weight(shock_K) * shock_K**2, self.beta, self.start)

    def step(self, variance_S: np.ndarray, shock_S: np.ndarray) -> np.ndarray:
        """Return the next variance, (S,)."""
        return self.omega + self._weight(shock_S) * shock_S**2 + self.beta * variance_S

    def _weight(self, shock: np.ndarray) -> np.ndarray:
        return self.alpha + self.gamma * (shock < 0.0)


@dataclass(frozen=True, eq=False)
class SkewedT:
    """One step ahead in closed form: mean_N + sd_N × Hansen's skewed t; NaN where refused."""

    mean_N: np.ndarray
    sd_N: np.ndarray
    shape_N2: np.ndarray

    def quantile_NQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return quantiles, (N, Q)."""
        z_NQ = np.stack([skewed_t_quantile(level_Q, shape_2) for shape_2 in self.shape_N2])
        return self.mean_N[:, None] + self.sd_N[:, None] * z_NQ

    def es_NL(self, level_L: np.ndarray) -> np.ndarray:
        """Return expected shortfalls, (N, L)."""
        z_NL = np.stack([skewed_t_shortfall(level_L, shape_2) for shape_2 in self.shape_N2])
        return self.mean_N[:, None] + self.sd_N[:, None] * z_NL


class Walk(NamedTuple):
    """One-step VaR and ES of days D one after another, (N, D, L) each, and the reason of each, (N, D)."""

    var_NDL: np.ndarray
    es_NDL: np.ndarray
    reason_ND: np.ndarray


@np.errstate(over="ignore", invalid="ignore")
def fit_gjr(history_T: np.ndarray, longest: int = LONGEST_FIT) -> Gjr:
    """Fit one entity to the last `longest` known values of its history, by maximum likelihood.

    Deterministic; works in any unit. Falls back or refuses as the head of this file says. Raises ValueError for
    infinities alone.
    """
    known_K = checked(history_T[None])[0]
    known_K = known_K[~np.isnan(known_K)]
    if len(known_K) < SHORTEST:
        nothing = (np.nan,) * 8
        return Gjr(*nothing, reason="too_short" if len(known_K) else "all_missing")
    value_K = known_K[-longest:]
    largest = np.abs(value_K).max() or 1.0
    unit = largest * np.std(value_K / largest)  # so that squares never overflow
    if unit <= _SMALLEST * largest:
        return Gjr(value_K[-1], 0.0, 1.0 - DECAY, 0.0, DECAY, 5.0, 0.0, 0.0, reason="constant")
    parameters = _fitted(value_K / unit) if len(value_K) >= SHORTEST_FIT else None
    reason = ""
    if parameters is None:
        reason = "fit_failed" if len(value_K) >= SHORTEST_FIT else "fit_short"
        parameters = np.array([np.mean(value_K / unit), 0.0, 1.0 - DECAY, 0.0, DECAY, 5.0, 0.0])
    mean, omega, alpha, gamma, beta, eta, skew = parameters
    start = backcast((known_K[:75] / unit - mean) ** 2)
    return Gjr(mean * unit, omega * unit**2, alpha, gamma, beta, eta, skew, start * unit**2, reason)


def gjr_forecast(
    history_NT: np.ndarray,
    gjr_N: Sequence[Gjr],
    horizon: int = 1,
    window: int = RESIDUALS,
    paths: int = PATHS,
    seed: int = 0,
    slot_NT: np.ndarray | None = None,
) -> PathForecast:
    """Forecast N entities by joint paths of their GJR-GARCH; each step's shocks are strata of the skewed t.

    gjr_N: fitted on no more than the history, perhaps some steps ago; the filter runs to its end. Joint over
    entities: standardised residuals of one past day, of the last `window` known ones, are drawn together, and each is
    replaced by a stratum of the skewed t from within its rank's share of the probability: the margins are the model's
    (apps.risk.models.strata), their dependence (the ranks') that of the past. For the residuals themselves give
    gjr_N to filtered_historical_simulation. paths: rounded up to a multiple of the window. slot_NT: the day of each
    step (joint_days.JointDays); None takes its column.
    """
    z_NT, variance_N = residuals(checked(history_NT), gjr_N)
    slot_NT = np.broadcast_to(np.arange(z_NT.shape[1]), z_NT.shape) if slot_NT is None else slot_NT
    z_NW, slot_NW = last_known(z_NT, slot_NT, window)
    days = JointDays(z_NW, slot_NW, horizon, paths, seed)
    count_N = (~np.isnan(z_NW)).sum(axis=1)
    z_SNH = np.full((len(days), len(gjr_N), horizon), np.nan)
    drawable_N = np.array([not np.isnan(gjr.eta) for gjr in gjr_N], dtype=bool) & (count_N >= SHORTEST)
    value_by_n = {
        n: skewed_t_strata(len(days), np.array([gjr_N[n].eta, gjr_N[n].skew]))
        for n in np.flatnonzero(drawable_N).tolist()
    }
    for h in range(horizon):
        stratum_NS = days.strata_at(h)
        for n, value_S in value_by_n.items():
            z_SNH[:, n, h] = value_S[stratum_NS[n]]
    reason_N = ["all_missing" if not count else "too_short" if count < SHORTEST else "" for count in count_N]
    return finished(simulated(z_SNH, gjr_N, variance_N), gjr_N, reason_N)


def last_known(value_NT: np.ndarray, slot_NT: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the last `longest` known values of each row, flush right, NaN before them, and their slots."""
    order_NT = np.argsort(~np.isnan(value_NT), axis=1, kind="stable")[
        :, -longest:
    ]  # known ones last, in order
    short = ((0, 0), (max(longest - value_NT.shape[1], 0), 0))
    value_NK, slot_NK = (np.take_along_axis(one, order_NT, axis=1) for one in (value_NT, slot_NT))
    return np.pad(value_NK, short, constant_values=np.nan), np.pad(slot_NK, short)


def walk_gjr(
    history_NT: np.ndarray,
    begin: int,
    every: int = REFIT,
    level_L: np.ndarray = TAIL_LEVELS,
    longest: int = LONGEST_FIT,
    drawn: int | None = None,
) -> Walk:
    """Forecast steps begin … T - 1 of N entities, each from the steps before it alone; D = T - begin.

    Refit rule: at `begin` and every `every` steps the parameters are fitted to all steps before; in between they
    stay, and the variance is filtered on with what came. A step without value is forecast, too.
    drawn: None takes the skewed t; a number takes that many last standardised residuals instead, which is filtered
    historical simulation of one step (Barone-Adesi et al. 1999), without noise of simulation.
    """
    past_NT = checked(history_NT)
    N, T = past_NT.shape
    if not 0 < begin < T or every < 1:
        raise ValueError(f"wanted 0 < begin < {T} and every of 1 or more, got {begin} and {every}")
    var_NDL, es_NDL = np.full((2, N, T - begin, len(level_L)), np.nan)
    reason_ND = np.full((N, T - begin), "", dtype=object)
    for n in range(N):
        for first in range(begin, T, every):
            until = min(first + every, T)
            gjr = fit_gjr(past_NT[n, :first], longest)
            known_T = ~np.isnan(past_NT[n, :until])
            before_D = np.cumsum(known_T)[first - 1 : until - 1]
            with np.errstate(over="ignore", invalid="ignore"):
                variance_K1 = gjr.variances(past_NT[n, :until][known_T])
                sd_K1 = np.where(np.isfinite(variance_K1), np.sqrt(variance_K1), np.nan)
            sd_D, span = sd_K1[before_D], slice(first - begin, until - begin)
            if drawn is None:
                shape_12 = np.array([[gjr.eta, gjr.skew]])
                step = SkewedT(np.full(len(sd_D), gjr.mean), sd_D, shape_12)
                var_NDL[n, span], es_NDL[n, span] = step.quantile_NQ(level_L), step.es_NL(level_L)
            else:
                shock_K = past_NT[n, :until][known_T] - gjr.mean
                z_K = np.divide(shock_K, sd_K1[:-1], out=np.zeros_like(shock_K), where=sd_K1[:-1] != 0.0)
                for d, before in enumerate(before_D, start=first - begin):
                    if before >= SHORTEST:
                        tail = tail_of(z_K[max(before - drawn, 0) : before, None], level_L)
                        var_NDL[n, d] = gjr.mean + sd_K1[before] * tail.var_NL[0]
                        es_NDL[n, d] = gjr.mean + sd_K1[before] * tail.es_NL[0]
            reason_ND[n, span] = np.where(np.isnan(sd_D), gjr.reason or "too_large", gjr.reason)
    return Walk(var_NDL, es_NDL, reason_ND)


def skewed_t_quantile(level: np.ndarray, shape_2: np.ndarray) -> np.ndarray:
    """Return quantiles of Hansen's skewed t of mean 0 and variance 1, in the shape of `level`; NaN for NaN shape."""
    if np.isnan(shape_2).any():
        return np.full(np.shape(level), np.nan)
    return np.asarray(_skewed_t().ppf(np.ravel(level), shape_2)).reshape(np.shape(level))


def skewed_t_shortfall(level_L: np.ndarray, shape_2: np.ndarray) -> np.ndarray:
    """Return the mean below each quantile, (L,): the partial first moment divided by the level."""
    quantile_L = skewed_t_quantile(level_L, shape_2)
    if np.isnan(quantile_L).any():
        return quantile_L
    pairs = zip(quantile_L, level_L, strict=True)
    return np.array([_skewed_t().partial_moment(1, float(z), shape_2) / level for z, level in pairs])


def skewed_t_below(level: np.ndarray, shape_2: np.ndarray) -> np.ndarray:
    """Return the integral of the quantile function from 0 to each level, 0..1: the level times its shortfall.

    In closed form, in the notation of Hansen 1994.
    """
    eta, skew = (float(value) for value in shape_2)
    c = math.exp(gammaln((eta + 1.0) / 2.0) - gammaln(eta / 2.0)) / math.sqrt(math.pi * (eta - 2.0))
    a = 4.0 * skew * c * (eta - 2.0) / (eta - 1.0)
    b = math.sqrt(1.0 + 3.0 * skew**2 - a**2)

    def moment(half: np.ndarray) -> np.ndarray:
        """Return the first moment of Student's t of variance 1 below its quantile at a level."""
        y = stdtrit(eta, half) * math.sqrt((eta - 2.0) / eta)
        return -c * (eta - 2.0) / (eta - 1.0) * (1.0 + y**2 / (eta - 2.0)) ** (-(eta - 1.0) / 2.0)

    low, high = np.minimum(level, (1.0 - skew) / 2.0), np.maximum(level - (1.0 - skew) / 2.0, 0.0)
    left = (1.0 - skew) ** 2 * moment(np.minimum(low / (1.0 - skew), 0.5))
    right = (1.0 + skew) ** 2 * (moment(np.minimum(0.5 + high / (1.0 + skew), 1.0)) - moment(np.array(0.5)))
    return (left + right - a * (low + high)) / b


def skewed_t_strata(count: int, shape_2: np.ndarray) -> np.ndarray:
    """Return S equally likely values of the skewed t (apps.risk.models.strata)."""
    return strata(
        lambda level_K: skewed_t_quantile(level_K, shape_2),
        lambda level_K: skewed_t_below(level_K, shape_2),
        count,
    )


@functools.cache
def _skewed_t() -> SkewStudent:
    # slow to import, which a scoring by another model need not wait for
    from arch.univariate import SkewStudent

    return SkewStudent()


def _fitted(value_K: np.ndarray) -> np.ndarray | None:
    """Return the seven parameters for a series of variance 1, None where they cannot be had."""
    from arch import arch_model  # slow to import

    model = arch_model(value_K, mean="Constant", vol="GARCH", p=1, o=1, q=1, dist="skewt", rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what arch warns of is asked below
        try:
            result = model.fit(disp="off", show_warning=False)
        except (ValueError, FloatingPointError, ZeroDivisionError, np.linalg.LinAlgError):
            return None
    parameters = np.asarray(result.params, dtype=np.float64)
    _, omega, alpha, gamma, beta, eta, skew = parameters
    stays = alpha + 0.5 * gamma + beta < 1.0 + 1e-6
    sound = omega > 0.0 and min(alpha, alpha + gamma, beta) > -1e-9 and eta > 2.0 and abs(skew) < 1.0
    return (
        parameters
        if result.convergence_flag == 0 and np.isfinite(parameters).all() and stays and sound
        else None
    )
