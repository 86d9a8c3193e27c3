"""Options that do nothing without another one: one typed alone is refused, with the option it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.cli.choices import typed, typed_fields
from core.cli.reasons import CONFIG
from core.settings.schema import stages_by_field, value_at, walk


def check_companions(config: Any, overrides: Sequence[str]) -> None:
    """Raise ConfigError for an override of a field whose `only_with` does not hold in the composed config.

    overrides: those of this job, as typed. What a field depends on counts only in stages that read it: a service gets
    from its requests what a command gets from other options.
    """
    fields = dict(walk(config))
    stages = stages_by_field(type(config))
    for name in (name for text in overrides for name in typed_fields(*typed(text))):
        needed = fields[name].metadata.get("only_with", "") if name in fields else ""
        other, equals, wanted = needed.partition("=")
        if not needed or config.stage not in stages[other]:
            continue
        value = value_at(config, other)
        if value is None if not equals else str(value) not in wanted.split("|"):
            raise CONFIG(
                "config_alone", name=name, needed=needed.replace("|", " or ") if equals else f"{other}=…"
            )
