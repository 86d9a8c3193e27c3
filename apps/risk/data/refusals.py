"""Which series cannot be scored, and why: entity → reason code and a sentence. Nothing is dropped silently.

Legend: N entities, R rows. Only the past of the as-of date is looked at.
"""

from __future__ import annotations

import numpy as np

from apps.risk.data.panel import Panel

_NEVER = np.iinfo(np.int64).min // 2  # a step before all others
# In the order in which they are asked; the first that holds counts.
SENTENCES = {
    "no_history": "it has rows known in advance only, and none up to the as-of date",
    "all_missing": "none of its {rows} rows has a value of {label}",
    "too_short": "it has {known} values of {label}, and {shortest} are needed",
    "stale": "its last value of {label} lies {age} steps before the as-of date, and at most {oldest} may",
    "constant": "its {known} values of {label} are all the same: it has no risk that could be measured",
}


def refusals(
    panel: Panel, shortest: int = 2, oldest: int | None = None, label: str | None = None
) -> dict[str, tuple[str, str]]:
    """Return entity → (code, sentence) of the series that cannot be scored, sorted by entity.

    shortest: values that a series needs. oldest: steps of its own calendar by which its last value may lie before
    the as-of date; None allows all. label: the column looked at, by default the first. An event that
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
    holds = {
        "no_history": panel.past_N == 0,
        "all_missing": known_N == 0,
        "too_short": known_N < shortest,
        "stale": age_N > oldest if oldest is not None else np.zeros(len(known_N), dtype=bool),
        "constant": same_N if name != panel.columns.event else np.zeros(len(known_N), dtype=bool),
    }
    found: dict[str, tuple[str, str]] = {}
    for number in np.flatnonzero(np.any(list(holds.values()), axis=0)):
        code = next(code for code, holds_N in holds.items() if holds_N[number])
        found[panel.entities[number]] = (
            code,
            SENTENCES[code].format(
                rows=panel.past_N[number],
                known=known_N[number],
                age=age_N[number],
                label=name,
                shortest=shortest,
                oldest=oldest,
            ),
        )
    return found
