"""Which entities can be compared side by side, step by step, and those of one calendar together."""

from __future__ import annotations

import numpy as np

from apps.risk.data.calendar import OWN_TIMES
from apps.risk.data.load import Loaded
from apps.risk.data.panel import Panel, by_calendar, take
from apps.risk.reasons import INPUTS

FEWEST_BEFORE = 20  # steps that a calendar must have before the first step of a walk


def comparable(loaded: Loaded, label: str, days: int) -> tuple[list[Panel], dict[str, str]]:
    """Return panels of one calendar each that can be walked step by step, and entity → reason code of the others.

    days: steps of the walk. Besides those that cannot be forecast (apps.risk.data.refusals): own_calendar, a series
    with times of its own, which shares no day with the others; backtest_short, a calendar with fewer than `days` + 20
    steps. Raises InputError, backtest_empty, where no series is left, backtest_short, where no calendar is long enough.
    """
    aside = {name: code for name, (code, _) in {**loaded.refused, **loaded.refused_by.get(label, {})}.items()}
    panels = []
    for panel in by_calendar(loaded.panel_of(label)):
        if panel.axis.calendar == OWN_TIMES:
            aside |= dict.fromkeys(panel.entities, "own_calendar")
        elif panel.entities:
            panels.append(panel)
    if not panels:
        codes = ", ".join(sorted(set(aside.values())))
        raise INPUTS("backtest_empty", label=label, codes=codes)
    long = [panel for panel in panels if panel.axis.known >= days + FEWEST_BEFORE]
    for panel in panels if long else ():
        if panel.axis.known < days + FEWEST_BEFORE:
            aside |= dict.fromkeys(panel.entities, "backtest_short")
    return long or [max(panels, key=lambda panel: panel.axis.known)], aside


def whole(panels: list[Panel], loaded: Loaded, label: str) -> Panel:
    """Return the panels as one again."""
    panel = loaded.panel_of(label)
    names = {name for one in panels for name in one.entities}
    return take(panel, np.array([name in names for name in panel.entities], dtype=bool))
