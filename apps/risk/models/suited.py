"""Can a model serve what is asked of it: one that cannot is refused by its name, never replaced by another."""

from __future__ import annotations

from collections.abc import Iterable

from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.data.columns import Columns
from apps.risk.models.interface import TargetModel
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.reasons import OPTIONS


def require_suited(name: str, columns: Columns) -> None:
    """Raise ConfigError where a model, by its name, forecasts neither the targets nor the event that a table has."""
    for labels, option, models, what in (
        (columns.targets, "data.targets", TARGET_MODELS, "targets"),
        ((columns.event,) if columns.event else (), "data.event", EVENT_MODELS, "an event"),
    ):
        if labels and name not in ("champion", *models):
            raise OPTIONS(
                "model_cannot_forecast",
                model=name,
                label=labels[0],
                what=what,
                models=", ".join(models),
                option=option,
            )


def require_group_used(columns: Columns, models: Iterable[TargetModel | None]) -> None:
    """Raise ConfigError where a table names groups, and every model forecasts each series alone."""
    if columns.group is not None and not any(isinstance(model, RiskformerTargets) for model in models):
        raise OPTIONS("group_unused", group=columns.group)
