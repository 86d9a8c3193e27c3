"""Can a model serve what is asked of it: one that cannot is refused by its name, never replaced by another."""

from __future__ import annotations

from collections.abc import Iterable

from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.data.columns import Columns
from apps.risk.models.interface import TargetModel
from apps.risk.models.riskformer import RiskformerTargets
from core.errors import ConfigError


def require_suited(name: str, columns: Columns) -> None:
    """Raise ConfigError where a model, by its name, forecasts no label of one of the kinds that a table has."""
    for labels, option, models, kind in (
        (columns.targets, "data.targets", TARGET_MODELS, "targets"),
        ((columns.event,) if columns.event else (), "data.event", EVENT_MODELS, "an event"),
    ):
        if labels and name not in ("champion", *models):
            raise ConfigError(
                "config_choice",
                f"model={name} cannot forecast '{labels[0]}': models of {kind} are {', '.join(models)}; name one of "
                f"them, or leave {option} out",
            )


def require_group_used(columns: Columns, models: Iterable[TargetModel | None]) -> None:
    """Raise ConfigError where a table names groups, and every model looks at each series alone."""
    if columns.group is not None and not any(isinstance(model, RiskformerTargets) for model in models):
        raise ConfigError(
            "config_choice",
            f"data.group={columns.group} is of use to a riskformer of series alone, and no such model is asked: leave "
            "it out, or add model=riskformer",
        )
