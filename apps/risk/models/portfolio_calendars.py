"""On which calendar each portfolio is summed: that of all it holds, or a common one of several.

Legend: N series, P portfolios.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apps.risk.data.calendar import OWN_TIMES, Calendar
from apps.risk.data.common_calendar import common_of, share_times, summed_to
from apps.risk.data.holdings import Holdings
from apps.risk.data.panel import Panel, take
from apps.risk.models.portfolio_sum import EQUAL

NO_COMMON = "no_common_calendar"


@dataclass(frozen=True, eq=False)
class Share:
    """Portfolios summed on one calendar. holdings: None is one of equal weights. panel: the series that they hold."""

    calendar: Calendar
    holdings: Holdings | None
    panel: Panel


@dataclass(frozen=True, eq=False)
class Divided:
    """Portfolios by calendar. own: those of series of one calendar. mixed: the others, summed to a common one.

    refused: names and the reason code of those that have none.
    """

    own: list[Share] = field(default_factory=list)
    mixed: list[Share] = field(default_factory=list)
    refused: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def of(self, panel: Panel) -> list[Share]:
        """Return the shares of series of one calendar."""
        return [share for share in self.own if share.calendar == panel.axis.calendar]


def divide(panel: Panel, holdings: Holdings | None) -> Divided:
    """Return which portfolio is summed on which calendar. A holding that is not in the panel has none."""
    divided = Divided()
    for which_N, part in _by_calendars(panel, holdings):
        names = (EQUAL,) if part is None else part.portfolios
        calendars = [panel.axes[number].calendar for number in np.unique(panel.axis_N[which_N]).tolist()]
        common = common_of([one for one in calendars if one is not None])
        if common is None or (common == OWN_TIMES and not share_times(panel, which_N)):
            divided.refused.append((names, NO_COMMON))
        elif len(calendars) == 1:
            divided.own.append(Share(common, part, panel))
        else:
            some = panel if which_N.all() else take(panel, which_N)
            equal = Holdings(
                (EQUAL,),
                np.zeros(len(some.entities), dtype=np.int64),
                some.entities,
                np.full(len(some.entities), 1.0 / len(some.entities)),
            )
            divided.mixed.append(Share(common, part or equal, summed_to(some, common)))
    return divided


def _by_calendars(panel: Panel, holdings: Holdings | None) -> list[tuple[np.ndarray, Holdings | None]]:
    """Return the portfolios that hold series of the same set of calendars, with the series held, (N,) bool."""
    if holdings is None:
        return [(np.ones(len(panel.entities), dtype=bool), None)]
    held_PN = holdings.weight_PN(panel.entities) != 0.0
    has_PA = held_PN @ (panel.axis_N[:, None] == np.arange(len(panel.axes))) > 0
    has_PA[~has_PA.any(axis=1), 0] = (
        True  # it holds nothing that is there, which is reported where it is summed
    )
    out: list[tuple[np.ndarray, Holdings | None]] = []
    for has_A in np.unique(has_PA, axis=0):
        which_P = (has_PA == has_A).all(axis=1)
        which_N = held_PN[which_P].any(axis=0)
        out.append(
            (
                which_N | (panel.axis_N == has_A.argmax()) if not which_N.any() else which_N,
                holdings.some(which_P),
            )
        )
    return out
