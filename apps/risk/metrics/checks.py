"""Which points of a forecast count, and refusal of arrays that cannot be judged.

One rule holds for all figures of risk. A missing outcome (NaN, or False in the mask) is left out. A missing
forecast of an outcome that counts is refused: a model must not gain by its silence. Infinities are refused.
"""

from __future__ import annotations

import numpy as np


def check_tail_level(level: float) -> None:
    """Raise ValueError unless level is a lower tail's probability, 0 < level ≤ 0.5."""
    if not 0.0 < level <= 0.5:
        raise ValueError(
            f"level is {level}, wanted the tail's probability, above 0 and at most 0.5: 0.05 for a 95 % VaR"
        )


def check_share(name: str, value: float) -> None:
    """Raise ValueError unless 0 < value < 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value}, wanted above 0 and below 1")


def check_at_least(name: str, value: int, least: int) -> None:
    """Raise ValueError below the least value that makes sense."""
    if value < least:
        raise ValueError(f"{name} is {value}, wanted at least {least}")


def check_same_shape(**arrays: np.ndarray) -> None:
    """Raise ValueError, with all shapes, unless they are equal."""
    if len({np.shape(array) for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{name} {np.shape(array)}" for name, array in arrays.items())
        raise ValueError(f"shapes differ, wanted equal: {shapes}")


def check_not_infinite(**arrays: np.ndarray) -> None:
    """Raise ValueError with the number of infinities, if there are any."""
    for name, array in arrays.items():
        infinite = int(np.isinf(array).sum())
        if infinite:
            raise ValueError(
                f"{name} has {infinite} infinite values, wanted finite numbers, NaN where missing"
            )


def counted(actual: np.ndarray, mask: np.ndarray | None = None, **forecasts: np.ndarray) -> np.ndarray:
    """Return which outcomes count, bool in the shape of `actual`.

    mask: False leaves an outcome out; None leaves out missing outcomes alone. forecasts: in the shape of
    `actual`, or with one axis more (quantiles).
    Raises ValueError for shapes that do not fit, infinities, a forecast missing where the outcome counts,
    and where nothing counts.
    """
    counts = ~np.isnan(actual)
    if mask is not None:
        check_same_shape(actual=actual, mask=mask)
        counts &= mask.astype(bool)
    check_not_infinite(actual=np.where(counts, actual, 0.0))
    for name, forecast in forecasts.items():
        wide = forecast.ndim == actual.ndim + 1
        check_same_shape(actual=actual, **{name: forecast[..., 0] if wide else forecast})
        where = counts[..., None] if wide else counts
        check_not_infinite(**{name: np.where(where, forecast, 0.0)})
        missing = int(np.sum(np.isnan(forecast) & where))
        if missing:
            raise ValueError(
                f"{name} is missing {missing} times where the outcome counts, wanted a forecast or a mask"
            )
    if not counts.any():
        raise ValueError(f"nothing to judge: none of {actual.size} outcomes counts")
    return counts


def check_weights(weight_N: np.ndarray | None, owners: int) -> np.ndarray:
    """Return weights as float64, ones if none were given.

    Raises ValueError unless there is one finite weight ≥ 0 an owner.
    """
    if weight_N is None:
        return np.ones(owners)
    if weight_N.shape != (owners,):
        raise ValueError(f"weights have shape {weight_N.shape}, wanted ({owners},)")
    weights = weight_N.astype(np.float64)
    if not np.all(np.isfinite(weights) & (weights >= 0.0)):
        raise ValueError("a weight is negative or not finite, wanted 0 or more")
    return weights
