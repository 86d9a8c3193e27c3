"""Read the overrides of a command line: refuse what would be ignored or cannot mean anything, expand sweeps."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from core.cli.faults import unknown_choice, unreadable_value
from core.cli.usage import groups
from core.errors import ConfigError
from core.settings.credentials import holds_password, refuse_password

MOST_JOBS = 10_000  # of one sweep


def check_overrides(overrides: Iterable[str], typed: Iterable[str], config_name: str, schema: type) -> None:
    """Raise ConfigError for an override that cannot be read, is given twice, or would change nothing.

    overrides: as Hydra gets them. typed: the same as they were typed, free text included.
    """
    for word in typed:
        name, equals, _ = word.partition("=")
        refuse_password(name if equals and not holds_password(name) else "the command line", word)
    choices = groups(config_name)
    keys: Counter[str] = Counter()
    for text in overrides:
        key = _key(text)
        keys[key] += 1
        if key.startswith(("hydra.", "hydra/")):
            raise ConfigError(
                "config_hydra", f"{key} would change nothing here: the run's folder is named by run_dir=…"
            )
        if keys[key] > 1:
            raise ConfigError(
                "config_twice", f"{key}= is given more than once: leave all but one of them out"
            )
        override = parse_override(text, choices, schema)
        if override.is_delete():
            raise ConfigError(
                "config_delete", f"{text} removes a field, and every field is needed: write FIELD=VALUE"
            )
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
    """Return the overrides of each job of a sweep: the product of all fields with several values."""
    alternatives = [_alternatives(text) for text in overrides]
    jobs = list(itertools.islice(itertools.product(*alternatives), MOST_JOBS + 1))
    if len(jobs) > MOST_JOBS:
        raise ConfigError(
            "config_sweep", f"the sweep has more than {MOST_JOBS} jobs: sweep fewer values at once"
        )
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
        raise ConfigError("config_sweep", f"{text} cannot be swept: write its values one by one, with commas")
    return [f"{key}={value}" for value in values]


def _key(text: str) -> str:
    return text.partition("=")[0].lstrip("+~")


def _check_group(override: Override, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse a group that gets something other than the name of one of its choices."""
    group = override.get_key_element().lstrip("+")
    if group in choices and not override.is_sweep_override() and not isinstance(override.value(), str):
        raise ConfigError(
            "config_group", f"{group} takes the name of one choice: {', '.join(choices[group])}"
        )
