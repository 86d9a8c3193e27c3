"""Read the overrides of a command line: refuse what would be ignored or cannot mean anything, expand sweeps."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from core.cli.choices import EXPERIMENT, Choices
from core.cli.faults import unknown_choice, unreadable_value
from core.cli.reasons import CONFIG
from core.settings.credentials import holds_password, refuse_password

MOST_JOBS = 10_000  # of one sweep


def check_overrides(overrides: Iterable[str], typed: Iterable[str], available: Choices, schema: type) -> None:
    """Raise ConfigError for an override that cannot be read, is given twice, or would change nothing.

    overrides: as Hydra gets them. typed: the same as they were typed, free text included.
    """
    for word in typed:
        name, equals, _ = word.partition("=")
        refuse_password(name if equals and not holds_password(name) else "the command line", word)
    choices = available.by_group
    keys: Counter[str] = Counter()
    for text in overrides:
        key = _key(text)
        keys[key] += 1
        if key.startswith(("hydra.", "hydra/")):
            raise CONFIG("config_hydra", name=key)
        if keys[key] > 1:
            raise CONFIG("config_twice", name=key)
        if "@" in key:
            raise CONFIG("config_package", name=text, group=key.partition("@")[0])
        override = parse_override(text, choices, schema)
        if override.is_delete():
            raise CONFIG("config_delete", override=text)
        _check_group(override, choices)


def parse_override(text: str, choices: Mapping[str, Sequence[str]], schema: type) -> Override:
    """Return an override as Hydra reads it; raise ConfigError that names the field and what it takes."""
    key, equals, value = text.partition("=")
    name = key.lstrip("+")
    try:
        override = OverridesParser.create().parse_override(text)
    except Exception:  # Hydra's grammar raises errors of several libraries
        if equals and name in choices:
            raise unknown_choice(name, value, choices[name]) from None
        raise unreadable_value(name, value if equals else None, schema) from None
    if not name:
        raise unreadable_value(name, value, schema)
    return override


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a sweep: the product of all fields with several values.

    Raises ConfigError: config_jobs (too many jobs), config_sweep (a sweep without values, or without an end).
    """
    alternatives = [_alternatives(text) for text in overrides]
    jobs = list(itertools.islice(itertools.product(*alternatives), MOST_JOBS + 1))
    if len(jobs) > MOST_JOBS:
        raise CONFIG("config_jobs", most=MOST_JOBS)
    return [list(job) for job in jobs]


def _alternatives(text: str) -> list[str]:
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return [text]
    key = override.get_key_element()
    values: list[str] = []
    try:
        if override.is_discrete_sweep():
            values = list(itertools.islice(map(str, override.sweep_string_iterator()), MOST_JOBS + 1))
    except Exception:  # a glob, a range without an end, a choice within a choice: each fails in its own way
        values = []
    if not values:
        raise CONFIG("config_sweep", override=text)
    return [f"{key}={value}" for value in values]


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")


def _check_group(override: Override, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse a group that gets something other than the name of one of its choices."""
    group = override.get_key_element().lstrip("+")
    if (
        group not in choices
        or override.is_sweep_override()
        or (group == EXPERIMENT and override.value() is None)
    ):
        return
    if not isinstance(override.value(), str):
        raise CONFIG("config_group_name", group=group, choices=", ".join(choices[group]))
