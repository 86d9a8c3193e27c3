"""What every model of the app can be asked, a network, a fitted GARCH or plain history alike.

All look at the past of the panel's as-of date alone. A model asked for slices of a panel one after another, with one
seed, answers as it does for the whole: the days that paths are drawn from depend on seed and calendar alone.
"""

from __future__ import annotations

from typing import Protocol

from apps.risk.data.panel import Panel
from apps.risk.models.forecast import EventForecast, PathForecast, Reason


class TargetModel(Protocol):
    """Forecasts one numeric column."""

    @property
    def name(self) -> str:
        """As model.name= takes it."""

    @property
    def usual_paths(self) -> int:
        """Futures that are taken where nobody says how many: enough for its numbers to be steady."""

    @property
    def drawn(self) -> bool:
        """Whether paths are drawn at random: then sums over several steps have an error of simulation."""

    @property
    def looks_back(self) -> int:
        """Last steps whose values a forecast stands on."""

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        """Return about `paths` futures of each entity in the panel's order; NaN and a reason where refused.

        label: one of the panel's targets. horizon: steps ahead, of the panel's calendar.
        """


class EventModel(Protocol):
    """Forecasts whether the panel's event happens within the model's horizon."""

    @property
    def name(self) -> str:
        """As model.name= takes it."""

    def forecast_event(self, panel: Panel) -> EventForecast:
        """Return the event's probability of each entity in the panel's order."""

    def drivers(self, panel: Panel) -> tuple[tuple[Reason, ...], ...]:
        """Return of each entity what raises its log-odds most, largest first; empty where nothing does."""
