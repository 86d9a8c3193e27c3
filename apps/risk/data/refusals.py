"""Which series cannot be scored, and why: entity → reason code and a sentence. Nothing is dropped silently.

Legend: N entities, R rows. Only the past of the as-of date counts.
"""

from __future__ import annotations

import numpy as np

from apps.risk.data.panel import Panel
from apps.risk.reasons import SERIES

_NEVER = np.iinfo(np.int64).min // 2  # a step before all others


def refusals(
    panel: Panel, shortest: int = 2, oldest: int | None = None, label: str | None = None
) -> dict[str, tuple[str, str]]:
    """Return entity → (code, sentence) of the series that cannot be scored, sorted by entity.

    shortest: values that a series needs. oldest: steps of its own calendar by which its last value may lie before
    the as-of date; None allows all. label: the column that is judged, by default the first. An event that
    never happened is no constant series.
    """
    name = label or panel.columns.labels[0]
    value_R = panel.value_RF[:, panel.columns.features.index(name)]
    known_R = panel.past_R & ~np.isnan(value_R)
    start_N = panel.offset_N1[:-1]
    known_N = np.add.reduceat(known_R.astype(np.int64), start_N)
    age_N = panel.end_N - np.maximum.reduceat(np.where(known_R, panel.slot_R, _NEVER), start_N)
    low_N = np.minimum.reduceat(np.where(known_R, value_R, np.inf), start_N)
    high_N = np.maximum.reduceat(np.where(known_R, value_R, -np.inf), start_N)
    same_N = (low_N == high_N) & (known_N > 1)
    holds = {  # in the order in which they are asked; the first that holds counts
        "no_history": panel.past_N == 0,
        "all_missing": known_N == 0,
        "too_short": known_N < shortest,
        "stale": age_N > oldest if oldest is not None else np.zeros(len(known_N), dtype=bool),
        "constant": same_N if name != panel.columns.event else np.zeros(len(known_N), dtype=bool),
    }
    refused: dict[str, tuple[str, str]] = {}
    for number in np.flatnonzero(np.any(list(holds.values()), axis=0)):
        code = next(code for code, holds_N in holds.items() if holds_N[number])
        sentence = SERIES.sentence(
            code, age=age_N[number], label=name, what=f"value of {name}", oldest=oldest
        )
        refused[panel.entities[number]] = (code, sentence)
    return refused
