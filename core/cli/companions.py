"""Options that do nothing without another one: one typed alone is refused, with the option it needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from core.cli.choices import leaves
from core.cli.reasons import CONFIG
from core.settings.schema import stages_by_field, value_at, walk


def check_companions(config: Any, overrides: Sequence[str]) -> None:
    """Raise ConfigError for an override of a field whose `only_with` does not hold in the composed config.

    overrides: those of this job, as typed. What a field depends on counts only in stages that read it: a service gets
    from its requests what a command gets from other options.
    """
    fields = dict(walk(config))
    stages = stages_by_field(type(config))
    for name in _names(overrides):
        needed = fields[name].metadata.get("only_with", "") if name in fields else ""
        other, equals, wanted = needed.partition("=")
        if not needed or config.stage not in stages[other]:
            continue
        value = value_at(config, other)
        if value is None if not equals else str(value) not in wanted.split("|"):
            raise CONFIG(
                "config_alone", name=name, needed=needed.replace("|", " or ") if equals else f"{other}=…"
            )


def _names(overrides: Sequence[str]) -> list[str]:
    names: list[str] = []
    for text in overrides:
        override = OverridesParser.create().parse_override(text)
        key, value = override.get_key_element().lstrip("+"), override.value()
        names += dict(leaves(value, f"{key}.")) if isinstance(value, dict) else [key]
    return names
