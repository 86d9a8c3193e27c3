"""Generated returns of related assets, with many futures of each past: what a network learns volatility from.

One process holds what real returns show (Cont 2001, doi:10.1080/713665670): variance that clusters (GJR-GARCH of each
asset, Glosten, Jagannathan & Runkle 1993, doi:10.1111/j.1540-6261.1993.tb05128.x; log-variance common to a group,
Taylor 1986), a market's fall that raises it, two regimes, heavy and skewed tails, jumps (Merton 1976,
doi:10.1016/0304-405X(76)90022-2), and correlation. Each part is absent from a share of the series.
Legend: G groups, M members of a group, K futures, C steps of the past, H steps ahead.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

BURN_IN = 100


@dataclass(frozen=True, eq=False)
class _Laws:
    """Parameters; shapes (G, 1, 1) of a group or (G, M, 1) of an asset. Variances are about 1 in the mean."""

    slow: np.ndarray  # persistence of the group's log-variance, and its stationary standard deviation
    slow_sd: np.ndarray
    fast: np.ndarray
    fast_sd: np.ndarray
    leverage: np.ndarray  # correlation of the market's shock with that of log-variance
    enter: np.ndarray  # probability of a step into, and out of, the regime of high variance
    leave: np.ndarray
    ratio: np.ndarray  # standard deviation there
    load: np.ndarray  # share of an asset's shock that is the market's
    alpha: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    freedom: np.ndarray  # of Student's t
    skew: np.ndarray
    jumps: np.ndarray  # probability of a jump a step
    drift: np.ndarray
    momentum: np.ndarray  # dependence of a return on the one before


@dataclass(eq=False)
class _State:
    """Where the process stands, (G, 1, K) of a group or (G, M, K) of an asset."""

    slow: np.ndarray
    fast: np.ndarray
    high: np.ndarray
    variance: np.ndarray
    last: np.ndarray

    def repeated(self, futures: int) -> _State:
        return _State(*(np.repeat(part, futures, axis=2) for part in vars(self).values()))


def simulated_returns(
    draw: np.random.Generator, groups: int, members: int, past: int, ahead: int, futures: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return pasts (G, M, C) and, of each group, K joint futures (G, M, K, H); float64, variance of the order of 1."""
    laws = _draw_laws(draw, groups, members)
    state = _start(draw, laws, groups, members)
    past_T = _walk(draw, laws, state, BURN_IN + past)
    future_H = _walk(draw, laws, state.repeated(futures), ahead)
    return np.stack(past_T[BURN_IN:], axis=-1)[:, :, 0], np.stack(future_H, axis=-1)


def _draw_laws(draw: np.random.Generator, groups: int, members: int) -> _Laws:
    def of_group(low: float, high: float) -> np.ndarray:
        return draw.uniform(low, high, (groups, 1, 1))

    def of_asset(low: float, high: float) -> np.ndarray:
        return draw.uniform(low, high, (groups, members, 1))

    varies, own = of_group(0, 1) < 0.7, of_asset(0, 1) < 0.75
    alpha, gamma = of_asset(0.01, 0.12) * own, of_asset(0.0, 0.15) * own
    persistence = of_asset(0.9, 0.995)
    return _Laws(
        slow=of_group(0.98, 0.998),
        slow_sd=of_group(0.0, 0.8) * varies,
        fast=of_group(0.8, 0.97),
        fast_sd=of_group(0.0, 0.5) * varies,
        leverage=of_group(-0.8, 0.0),
        enter=of_group(0.001, 0.01),
        leave=of_group(0.005, 0.05),
        ratio=np.where(of_group(0, 1) < 0.3, of_group(1.0, 3.0), 1.0),
        load=np.sqrt(of_asset(0.05, 0.75)),
        alpha=alpha,
        gamma=gamma,
        beta=np.maximum(persistence - alpha - gamma / 2, 0.5) * own,
        freedom=np.where(of_asset(0, 1) < 0.15, 40.0, of_asset(3.0, 12.0)),
        skew=of_asset(-0.1, 0.2),
        jumps=np.where(of_asset(0, 1) < 0.3, of_asset(0.001, 0.01), 0.0),
        drift=draw.normal(0.0, 0.05, (groups, members, 1)),
        momentum=draw.normal(0.0, 0.04, (groups, members, 1)),
    )


def _start(draw: np.random.Generator, laws: _Laws, groups: int, members: int) -> _State:
    return _State(
        slow=laws.slow_sd * draw.normal(size=(groups, 1, 1)),
        fast=laws.fast_sd * draw.normal(size=(groups, 1, 1)),
        high=draw.uniform(size=(groups, 1, 1)) < laws.enter / (laws.enter + laws.leave),
        variance=np.ones((groups, members, 1)),
        last=np.zeros((groups, members, 1)),
    )


def _walk(draw: np.random.Generator, laws: _Laws, state: _State, steps: int) -> list[np.ndarray]:
    """Move the state on, and return the returns of each step, (G, M, K)."""
    groups, members, futures = state.variance.shape
    omega = 1.0 - laws.alpha - laws.gamma / 2 - laws.beta
    mean, unit = _skewed_moments(laws.freedom, laws.skew)
    drawn = []
    for _ in range(steps):
        market = draw.normal(size=(groups, 1, futures))
        own = draw.normal(size=(groups, members, futures))
        heavy = np.sqrt((laws.freedom - 2.0) / draw.chisquare(np.broadcast_to(laws.freedom, own.shape)))
        shock = (laws.load * market + np.sqrt(1.0 - laws.load**2) * own) * heavy
        shock = (np.where(shock < 0.0, 1.0 + laws.skew, 1.0 - laws.skew) * shock - mean) / unit
        jump = draw.uniform(size=shock.shape) < laws.jumps
        shock = np.where(jump, shock + draw.normal(-1.0, 2.5, shock.shape), shock)
        common = np.exp(0.5 * (state.slow + state.fast)) * np.where(state.high, laws.ratio, 1.0)
        local = np.sqrt(state.variance) * shock
        state.variance = (
            omega + (laws.alpha + laws.gamma * (local < 0.0)) * local**2 + laws.beta * state.variance
        )
        state.last = laws.drift + laws.momentum * state.last + common * local
        drawn.append(state.last)
        tilt = laws.leverage * market
        rest = np.sqrt(1.0 - laws.leverage**2)
        state.slow = _moved(draw, state.slow, laws.slow, laws.slow_sd, tilt, rest)
        state.fast = _moved(draw, state.fast, laws.fast, laws.fast_sd, tilt, rest)
        turn = draw.uniform(size=state.high.shape)
        state.high = np.where(state.high, turn >= laws.leave, turn < laws.enter)
    return drawn


def _moved(
    draw: np.random.Generator,
    level: np.ndarray,
    persistence: np.ndarray,
    sd: np.ndarray,
    tilt: np.ndarray,
    rest: np.ndarray,
) -> np.ndarray:
    shock = tilt + rest * draw.normal(size=tilt.shape)
    return persistence * level + sd * np.sqrt(1.0 - persistence**2) * shock


def _skewed_moments(freedom: np.ndarray, skew: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of a unit t, its lower half stretched by 1 + skew, its upper by 1 - skew."""
    absolute = 2.0 * np.sqrt(freedom - 2.0) / (np.sqrt(np.pi) * (freedom - 1.0))
    absolute = absolute * np.exp(gammaln((freedom + 1.0) / 2.0) - gammaln(freedom / 2.0))
    mean = -skew * absolute
    return mean, np.sqrt(1.0 + skew**2 - mean**2)
