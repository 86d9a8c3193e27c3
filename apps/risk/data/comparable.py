"""Which entities can be looked at side by side, day by day."""

from __future__ import annotations

import numpy as np

from apps.risk.data.history import own_calendar
from apps.risk.data.load import Loaded
from apps.risk.data.panel import Panel, take
from core.errors import InputError


def comparable(loaded: Loaded, label: str) -> tuple[Panel, dict[str, str]]:
    """Return the panel of entities that can be walked day by day, and entity → reason code of the others.

    Besides those that cannot be forecast (apps.risk.data.refusals): own_calendar, a series with times of its own,
    which shares no day with the others. Raises InputError, backtest_empty, where none is left.
    """
    panel = loaded.panel_of(label)
    aside = {name: code for name, (code, _) in {**loaded.refused, **loaded.refused_by.get(label, {})}.items()}
    own_N = own_calendar(panel)
    if own_N.any():
        names = np.array(panel.entities, dtype=object)[own_N].tolist()
        aside |= dict.fromkeys(names, "own_calendar")
        panel = take(panel, ~own_N)
    if not panel.entities:
        codes = ", ".join(sorted(set(aside.values())))
        raise InputError("backtest_empty", f"no series of {label} can be walked through its past: {codes}")
    return panel, aside
