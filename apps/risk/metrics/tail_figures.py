"""All that a backtest says of one model's VaR and ES for one entity at one level, in one row.

Losses are taken over all days that count. Tests suppose that outcomes do not overlap: of a horizon of H steps they
see every H-th day alone. Returns, VaR and ES are in return space (losses negative).
Legend: T days, L levels, S draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from apps.risk.metrics.block_bootstrap import mean_block_length, mean_loss_interval
from apps.risk.metrics.coverage_tests import (
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceedances,
    kupiec,
)
from apps.risk.metrics.diebold_mariano import diebold_mariano
from apps.risk.metrics.dynamic_quantile import LAGS, dynamic_quantile
from apps.risk.metrics.es_tests import acerbi_szekely_z1, acerbi_szekely_z2
from apps.risk.metrics.tail_draws import draws_from_tail
from apps.risk.metrics.tail_scores import fissler_ziegel_loss, pinball_loss
from apps.risk.metrics.traffic_light import traffic_light

FEWEST_DAYS = 20
# Exceedances that a true VaR must lead one to expect before a test of it says anything. The supervisor's own test, a
# year of 250 days at 1 %, expects 2.5 (Basel Committee 1996, publication 22), and is judged with some days left out,
# too. With 0.2 expected hardly any outcome speaks against it.
FEWEST_EXPECTED = 2.0
# Exceedances without which their independence cannot be tested: the p-value is 1 whatever they did.
FEWEST_SEEN = 2
DRAWS = 999
_NAN = math.nan


@dataclass(frozen=True)
class TailFigures:
    """One row. level: the tail's probability. NaN where a figure cannot be had: see `tail_figures`.

    days: that count for the losses; test_days: that do for the tests, exceedances among them, and share of them.
    pinball, fz: mean losses, with the bounds of a 95 % interval over blocks of days. Then each test's statistic and
    its exact or simulated p-value (of the first two the asymptotic one, too): proportion of failures, independence,
    both; dynamic quantile; Acerbi & Szekely's two; the supervisor's zone. dm_…: mean difference of the loss to the
    first model's, below 0 where this one is better, and the two-sided p-value of no difference.
    """

    level: float
    days: int = 0
    test_days: int = 0
    exceedances: int = 0
    share: float = _NAN
    pinball: float = _NAN
    pinball_low: float = _NAN
    pinball_high: float = _NAN
    fz: float = _NAN
    fz_low: float = _NAN
    fz_high: float = _NAN
    kupiec: float = _NAN
    kupiec_p: float = _NAN
    kupiec_p_asymptotic: float = _NAN
    independence: float = _NAN
    independence_p: float = _NAN
    independence_p_asymptotic: float = _NAN
    conditional: float = _NAN
    conditional_p: float = _NAN
    dq: float = _NAN
    dq_p: float = _NAN
    z1: float = _NAN
    z1_p: float = _NAN
    z2: float = _NAN
    z2_p: float = _NAN
    zone: str = ""
    dm_pinball: float = _NAN
    dm_pinball_p: float = _NAN
    dm_fz: float = _NAN
    dm_fz_p: float = _NAN


@dataclass(frozen=True, eq=False)
class TailLosses:
    """Losses of each day and level, (T, L): NaN where the day does not count; fz NaN throughout where ES is none."""

    pinball_TL: np.ndarray
    fz_TL: np.ndarray


def tail_losses(
    return_T: np.ndarray, var_TL: np.ndarray, es_TL: np.ndarray, level_L: np.ndarray
) -> TailLosses:
    """Return both losses. A day without return or without forecast does not count: judge models on common days.

    An ES of 0 or above (prices, not returns) has no Fissler–Ziegel loss: then it is NaN on all days of that level.
    """
    counts_T = ~(np.isnan(return_T) | np.isnan(var_TL).any(axis=1) | np.isnan(es_TL).any(axis=1))
    pinball_TL, fz_TL = np.full((2, *var_TL.shape), np.nan)
    if counts_T.any():
        for index, level in enumerate(level_L):
            var_T, es_T = var_TL[:, index], es_TL[:, index]
            pinball_TL[:, index] = pinball_loss(return_T, var_T, float(level), counts_T)
            if np.all(es_T[counts_T] < 0.0):
                fz_TL[:, index] = fissler_ziegel_loss(return_T, var_T, es_T, float(level), counts_T)
    return TailLosses(pinball_TL, fz_TL)


def tail_figures(
    return_T: np.ndarray,
    var_TL: np.ndarray,
    es_TL: np.ndarray,
    level_L: np.ndarray,
    first: TailLosses | None = None,
    horizon: int = 1,
    seed: int = 0,
) -> list[TailFigures]:
    """Return a row for each level. first: losses of the model to be compared with, None for that model itself.

    A day without return or without forecast does not count. Below 20 days that count, or 20 for the tests, those
    figures are NaN; so are the Fissler–Ziegel loss and the tests of ES where an ES is 0 or above, all tests where
    `too_few_expected` holds, and that of independence below FEWEST_SEEN exceedances.
    """
    losses = tail_losses(return_T, var_TL, es_TL, level_L)
    counts_T = ~np.isnan(losses.pinball_TL).any(axis=1)
    test_T = np.flatnonzero(counts_T & (np.arange(len(return_T)) % horizon == 0))
    days, tested = int(counts_T.sum()), len(test_T)
    draw_ST = None
    if tested >= FEWEST_DAYS and np.all(es_TL[test_T] < 0.0):
        draw_ST = draws_from_tail(var_TL[test_T], es_TL[test_T], level_L, DRAWS, seed)
    means: list[dict[str, float]] = []
    if days >= FEWEST_DAYS:
        both = mean_losses(losses.pinball_TL[counts_T], losses.fz_TL[counts_T], horizon, seed)
        means = [_named(pinball_3, fz_3) for pinball_3, fz_3 in zip(*both, strict=True)]
    rows = []
    for index, level in enumerate(level_L.tolist()):
        figures: dict[str, float | int | str] = {"days": days, "test_days": tested}
        if days >= FEWEST_DAYS:
            figures |= means[index]
            if first is not None:
                pairs = ((losses.pinball_TL, first.pinball_TL), (losses.fz_TL, first.fz_TL))
                for name, (mine_TL, other_TL) in zip(("pinball", "fz"), pairs, strict=True):
                    figures |= _compared(name, mine_TL[:, index], other_TL[:, index], horizon)
        if tested >= FEWEST_DAYS:
            figures |= _tested(return_T[test_T], var_TL[test_T, index], level, seed)
        if draw_ST is not None and not too_few_expected(level, tested):
            es_T = es_TL[test_T, index]
            one = acerbi_szekely_z1(return_T[test_T], var_TL[test_T, index], es_T, draw_ST)
            two = acerbi_szekely_z2(return_T[test_T], var_TL[test_T, index], es_T, level, draw_ST)
            figures |= {"z1": one.statistic, "z1_p": one.p_value, "z2": two.statistic, "z2_p": two.p_value}
        rows.append(TailFigures(level=level, **figures))  # type: ignore[arg-type]
    return rows


def too_few_expected(level: float, days: int) -> bool:
    """Return whether so few exceedances are expected of a true VaR that a test over these days says nothing."""
    return round(level * days, 9) < FEWEST_EXPECTED


def mean_losses(
    pinball_TL: np.ndarray, fz_TL: np.ndarray, horizon: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean, lower and upper bound of each level's losses, (L, 3) each; NaN where a loss is missing on any day.

    All share the days drawn, in blocks of the mean length that suits the loss of the longest memory: automatic, at
    least the horizon, at most a third of the days.
    """
    loss_TK = np.concatenate([pinball_TL, fz_TL], axis=1)
    out_K3 = np.full((loss_TK.shape[1], 3), np.nan)
    whole_K = ~np.isnan(loss_TK).any(axis=0)
    if whole_K.any():
        known_TK = loss_TK[:, whole_K]
        block = max(float(horizon), *(mean_block_length(loss_T) for loss_T in known_TK.T))
        bound_2K = mean_loss_interval(known_TK, min(block, len(loss_TK) / 3), seed=seed)
        out_K3[whole_K] = np.column_stack([known_TK.mean(axis=0), *bound_2K])
    L = pinball_TL.shape[1]
    return out_K3[:L], out_K3[L:]


def common_lags(days: int, horizon: int) -> int:
    """Return the lags of a long-run variance, 4 (T / 100)^(2/9) (Newey & West 1994, doi:10.2307/2297912), or H - 1."""
    return min(max(horizon - 1, int(4.0 * (days / 100.0) ** (2.0 / 9.0))), days - 1)


def _named(pinball_3: np.ndarray, fz_3: np.ndarray) -> dict[str, float]:
    named: dict[str, float] = {}
    for name, value_3 in (("pinball", pinball_3), ("fz", fz_3)):
        named |= dict(zip((name, f"{name}_low", f"{name}_high"), value_3.tolist(), strict=True))
    return named


def _compared(name: str, loss_T: np.ndarray, other_T: np.ndarray, horizon: int) -> dict[str, float]:
    both_T = ~(np.isnan(loss_T) | np.isnan(other_T))
    days = int(both_T.sum())
    if days < FEWEST_DAYS:
        return {}
    result = diebold_mariano(
        loss_T[both_T], other_T[both_T], horizon, lags=common_lags(days, horizon), kernel="bartlett"
    )
    return {f"dm_{name}": result.mean_difference, f"dm_{name}_p": result.p_two_sided}


def _tested(return_T: np.ndarray, var_T: np.ndarray, level: float, seed: int) -> dict[str, float | int | str]:
    hit_T = exceedances(return_T, var_T)
    share = kupiec(hit_T, level)
    seen: dict[str, float | int | str] = {
        "exceedances": share.exceedances,
        "share": share.exceedances / share.days,
    }
    if too_few_expected(level, share.days):
        return seen
    if share.exceedances >= FEWEST_SEEN:
        alone = christoffersen_independence(hit_T)
        seen |= {
            "independence": alone.statistic,
            "independence_p": alone.p_value,
            "independence_p_asymptotic": alone.p_asymptotic,
        }
    both = christoffersen_conditional_coverage(hit_T, level)
    quantile = dynamic_quantile(return_T, var_T, level, lags=LAGS, seed=seed)
    return seen | {
        "kupiec": share.statistic,
        "kupiec_p": share.p_value,
        "kupiec_p_asymptotic": share.p_asymptotic,
        "conditional": both.statistic,
        "conditional_p": both.p_value,
        "dq": quantile.statistic,
        "dq_p": quantile.p_value,
        "zone": traffic_light(share.exceedances, share.days, level).zone,
    }
