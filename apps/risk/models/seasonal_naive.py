"""Seasonal naive: the next season is the last one, with normal errors that grow from season to season.

Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice, 3rd ed. 2021, sections 5.2 and 5.5,
https://otexts.com/fpp3. Only what is handed in is seen: hand in the past of the as-of date.
Legend: N series, T past steps, H steps of the horizon, Q levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True, eq=False)
class SeasonalNaive:
    """Quantiles of each step. point_NH: median; sd_NH: of its error, in the series' unit; NaN where refused.

    reason_N: '' or all_missing (refused), season_missing (some step of the season never had a value and takes the
    last value known), no_errors (nothing is one season behind something: sd 0, quantiles are the point).
    """

    point_NH: np.ndarray
    sd_NH: np.ndarray
    reason_N: tuple[str, ...]

    def quantile_NHQ(self, level_Q: np.ndarray) -> np.ndarray:
        """Return quantiles of the normal approximation, (N, H, Q); 0 < level < 1."""
        if not np.all((level_Q > 0.0) & (level_Q < 1.0)):
            raise ValueError(f"levels are {level_Q.tolist()}, wanted above 0 and below 1")
        return self.point_NH[..., None] + self.sd_NH[..., None] * norm.ppf(level_Q)


def seasonal_naive(history_NT: np.ndarray, horizon: int, season: int = 1) -> SeasonalNaive:
    """Forecast each step by the last known value at the same phase of the season.

    season: steps, 1 for none (the last value repeated), 24 for hours of a day. Histories end together, at the as-of
    date; NaN where missing, shorter ones are filled with NaN on the left. The error of one season is the root mean
    square of past changes over one season (both ends known); of step h it is √k times as large,
    k = ⌈h / season⌉ + the whole seasons that the value was older than the last. Raises ValueError for infinities,
    season or horizon below 1, and no step at all.
    """
    if history_NT.ndim != 2 or min(history_NT.shape[1], horizon, season) < 1:
        raise ValueError(
            f"history has shape {history_NT.shape}, horizon {horizon}, season {season}, wanted (series, steps), "
            "one or more of each"
        )
    infinite = int(np.isinf(history_NT).sum())
    if infinite:
        raise ValueError(f"history has {infinite} infinite values, wanted finite numbers, NaN where missing")
    N = len(history_NT)
    padded_NT = np.pad(
        history_NT.astype(np.float64), ((0, 0), (-history_NT.shape[1] % season, 0)), constant_values=np.nan
    )
    age_NP, value_NP = _last_known(padded_NT.reshape(N, -1, season))
    _, last_N1 = _last_known(padded_NT[:, :, None])
    empty_N = np.isnan(last_N1[:, 0])
    holes_N = np.asarray(np.isnan(value_NP).any(axis=1))
    sd_N = _rms_change(padded_NT, season)
    value_NP = np.where(np.isnan(value_NP), last_N1, value_NP)
    phase_H = np.arange(horizon) % season
    seasons_NH = np.arange(horizon) // season + 1 + age_NP[:, phase_H]
    return SeasonalNaive(
        value_NP[:, phase_H],
        np.where(empty_N, np.nan, np.nan_to_num(sd_N))[:, None] * np.sqrt(seasons_NH),
        tuple(
            "all_missing" if empty else "season_missing" if holes else "no_errors" if np.isnan(sd) else ""
            for empty, holes, sd in zip(empty_N, holes_N, sd_N, strict=True)
        ),
    )


def _last_known(value_NKP: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many seasons ago each phase last had a value, and that value, (N, P) each; NaN, K - 1 for never."""
    known_NKP = ~np.isnan(value_NKP[:, ::-1])
    age_NP = np.where(known_NKP.any(axis=1), known_NKP.argmax(axis=1), value_NKP.shape[1] - 1)
    return age_NP, np.take_along_axis(value_NKP[:, ::-1], age_NP[:, None], axis=1)[:, 0]


def _rms_change(value_NT: np.ndarray, season: int) -> np.ndarray:
    """Return the root mean square change over one season, (N,), NaN where none is known; safe for huge values."""
    change_NT = value_NT[:, season:] - value_NT[:, :-season]
    count_N = np.sum(~np.isnan(change_NT), axis=1)
    change_NT = np.nan_to_num(change_NT)
    largest_N = np.abs(change_NT).max(axis=1, initial=0.0)
    unit_N = np.where(largest_N > 0.0, largest_N, 1.0)
    square_N = np.sum((change_NT / unit_N[:, None]) ** 2, axis=1)
    return np.asarray(np.where(count_N, unit_N * np.sqrt(square_N / np.maximum(count_N, 1)), np.nan))
