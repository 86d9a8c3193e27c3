"""From when on an event is predicted, and whether it came: the positions in a panel that a model of it learns from.

At each row of an entity at which the event does not happen it is asked whether it comes within the next H times of
the calendar. It is asked everywhere alike, so that those who left early, by the event or not, are not sorted out.
Legend: N entities, R rows, B origins, H times of the horizon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apps.risk.data.panel import Panel
from apps.risk.reasons import INPUTS
from core.errors import InputError


@dataclass(frozen=True, eq=False)
class Origins:
    """B positions whose outcome is known, by entity and time.

    origin_B: int64, first row that is not known yet. entity_B: int64. step_B: int64, position in the calendar of the
    last row that is known. event_B: float64, 1 the event came within the horizon, 0 it did not.
    """

    origin_B: np.ndarray
    entity_B: np.ndarray
    step_B: np.ndarray
    event_B: np.ndarray

    def __len__(self) -> int:
        return len(self.origin_B)

    def where(self, keep_B: np.ndarray) -> Origins:
        """Return some of them, by (B,) bool or by number."""
        return Origins(
            self.origin_B[keep_B], self.entity_B[keep_B], self.step_B[keep_B], self.event_B[keep_B]
        )


def event_origins(panel: Panel, horizon: int) -> Origins:
    """Return all origins in the past of the as-of date whose outcome is known. panel: of one calendar.

    The outcome is unknown where the horizon ends after the panel's last known time (whatever came until then, or
    early events would count and late ones not), and where a row within it, before any event, says nothing of it; it
    is 0 for an entity that left. No origin is a row at which the event happens. Raises ValueError for a horizon
    below 1 or a panel without an event.
    """
    if horizon < 1 or panel.columns.event is None:
        raise ValueError(f"wanted a horizon of 1 or more and an event, got {horizon}, {panel.columns.event}")
    past_R = panel.past_R
    event_R = panel.value_RF[:, panel.columns.features.index(panel.columns.event)].astype(np.float64)
    entity_R, step_R = panel.entity_R, panel.step_R
    # one rising number for entity and time: rows of an entity up to a time are found by bisection
    wide = len(panel.axis.slot_T) + horizon + 1
    key_R = entity_R * wide + step_R
    until_R = np.searchsorted(key_R, key_R + horizon, side="right")
    event_at_R, unknown_at_R = _next(event_R == 1.0), _next(np.isnan(event_R))
    came_R = (event_at_R < until_R) & (event_at_R < unknown_at_R)
    stayed_R = np.minimum(event_at_R, unknown_at_R) >= until_R
    last = int(step_R[past_R].max(initial=-1))
    asked_R = past_R & (event_R != 1.0) & (step_R + horizon <= last) & (came_R | stayed_R)
    row_B = np.flatnonzero(asked_R)
    return Origins(row_B + 1, entity_R[row_B], step_R[row_B], came_R[row_B].astype(np.float64))


def outcomes_missing(panel: Panel) -> InputError | None:
    """Return the error of a table that cannot tell of any event whether it came, event_one_row or event_always."""
    entity, event = panel.columns.entity, panel.columns.event
    if (panel.length_N == 1).all():
        return INPUTS("event_one_row", entity=entity, event=event)
    event_R = panel.value_RF[panel.past_R, panel.columns.features.index(str(event))]
    known_R = event_R[~np.isnan(event_R)]
    if len(known_R) and (known_R == 1.0).all():
        return INPUTS("event_always", event=event, rows=len(known_R))
    return None


def _next(is_R: np.ndarray) -> np.ndarray:
    """Return for each row the next one behind it at which it is so, of any entity; R where there is none."""
    row_R1 = np.append(np.where(is_R, np.arange(len(is_R)), len(is_R)), len(is_R))
    return np.asarray(np.minimum.accumulate(row_R1[::-1])[::-1][1:])
