"""How old the newest value of each series may be at the as-of time: data that stopped is not scored as if it had not.

By default the limit comes from the series' own steps, the last RECENT of them: STEPS median steps, or twice the second
longest step, if that is more. The second longest, since weekends and holidays come again and are tolerated by it,
whereas a hole that was there once is not a rule. A series of one value is measured by the median step of the others; a
table in which no series has two values, a cross-section, by ALONE.
Legend: N entities, R rows, K values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from apps.risk.data.max_age import MaxAge
from apps.risk.data.panel import Panel
from apps.risk.reasons import AWAITED, SERIES

STEPS, RECENT = 5, 250
ALONE = np.timedelta64(366, "D")
_HOUR_US = 3_600_000_000
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Ages:
    """Of one label. last_N: time of the newest value, NaT where there is none. limit_N: greatest age, microseconds."""

    last_N: np.ndarray
    limit_N: np.ndarray
    as_of: np.datetime64

    @property
    def known_N(self) -> np.ndarray:
        """Which series have a value."""
        return ~np.isnat(self.last_N)

    @property
    def old_N(self) -> np.ndarray:
        """Which series end too long before the as-of time."""
        age_N = np.where(self.known_N, self.as_of - self.last_N, np.timedelta64(0, "us"))
        return self.known_N & (age_N.astype(np.int64) > self.limit_N)


def ages(panel: Panel, label: str, as_of: np.datetime64, max_age: MaxAge | None) -> Ages:
    """Return how old the newest values of a label are; of the event, whose outcome is known late, the newest rows."""
    counts_R = panel.past_R
    if label != panel.columns.event:
        counts_R = counts_R & ~np.isnan(panel.value_RF[:, panel.columns.features.index(label)])
    owner_K = panel.entity_R[counts_R]
    time_K = panel.wall_R[counts_R]
    last_N = np.full(len(panel.entities), np.datetime64("NaT", "us"))
    last_N[owner_K] = time_K  # of several the last one stays
    return Ages(last_N, _limits(owner_K, time_K, len(panel.entities), max_age), as_of)


def age_refusals(panel: Panel, label: str, label_ages: Ages) -> dict[str, tuple[str, str]]:
    """Return entity → (code, sentence) of the series that end too long before the as-of time."""
    what = "row" if label == panel.columns.event else f"value of {label}"
    return {
        panel.entities[n]: ("too_old", _sentence(what, label_ages, int(n)))
        for n in np.flatnonzero(label_ages.old_N)
    }


def require_fresh(by_label: Mapping[str, Ages], shown: str) -> None:
    """Raise InputError where no series of any label has a value that is new enough. shown: the as-of time."""
    if any((one.known_N & ~one.old_N).any() for one in by_label.values()):
        return
    old = [one for one in by_label.values() if one.old_N.any()]
    if not old:
        return  # there are no values at all: each series has its reason
    newest = max(old, key=lambda one: one.last_N[one.old_N].max())
    rows = np.flatnonzero(newest.old_N)
    n = int(rows[np.argmax(newest.last_N[rows])])
    raise AWAITED("data_too_old", as_of=shown, sentence=_sentence("value", newest, n))


def _sentence(what: str, label_ages: Ages, n: int) -> str:
    last, limit = label_ages.last_N[n], np.timedelta64(int(label_ages.limit_N[n]), "us")
    return SERIES.sentence(
        "too_old", what=what, last=_day(last), age=_span(label_ages.as_of - last), limit=_span(limit)
    )


def _limits(owner_K: np.ndarray, time_K: np.ndarray, size: int, max_age: MaxAge | None) -> np.ndarray:
    """Return the greatest age of each series' newest value, (N,) int64 microseconds."""
    if max_age is not None and max_age.steps is None:
        hours = np.inf if max_age.hours is None else max_age.hours
        return np.full(size, int(hours * _HOUR_US) if hours < _NEVER // _HOUR_US else _NEVER)
    same_K = owner_K[1:] == owner_K[:-1]
    step_K, owner_K = np.diff(time_K).astype(np.int64)[same_K], owner_K[1:][same_K]
    end_N = np.searchsorted(owner_K, np.arange(size), side="right")
    recent_K = end_N[owner_K] - np.arange(len(owner_K)) <= RECENT
    step_K, owner_K = step_K[recent_K], owner_K[recent_K]
    order_K = np.lexsort((step_K, owner_K))
    step_K, owner_K = step_K[order_K], owner_K[order_K]
    start_N, end_N = (np.searchsorted(owner_K, np.arange(size), side=side) for side in ("left", "right"))
    count_N = end_N - start_N
    has_N = count_N > 0
    if not has_N.any():
        return np.full(size, ALONE.astype("timedelta64[us]").astype(np.int64))
    median_N = np.zeros(size, dtype=np.int64)
    second_N = np.zeros(size, dtype=np.int64)
    median_N[has_N] = step_K[(start_N + count_N // 2)[has_N]]
    second_N[has_N] = step_K[np.maximum(end_N - 2, start_N)[has_N]]
    median_N[~has_N] = int(np.median(median_N[has_N]))
    if max_age is not None:
        return (float(max_age.steps or 0) * median_N).astype(np.int64)
    return np.maximum(STEPS * median_N, 2 * second_N)


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).removesuffix("T00:00:00")


def _span(span: np.timedelta64) -> str:
    """Spell a span in the largest unit of which it has two or more."""
    seconds = float(span / np.timedelta64(1, "s"))
    for unit, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} seconds"
