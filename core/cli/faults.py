"""Say in one line what is wrong with a config: the full path, the value, and the nearest valid name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.errors import MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from core.cli.free_text import Sealed
from core.cli.reasons import CONFIG
from core.errors import ConfigError
from core.settings.reasons import SETTINGS
from core.settings.schema import describe_range, walk
from core.text.nearest import nearest


def explain(error: BaseException, schema: type, sealed: Sealed) -> ConfigError:
    """Translate what Hydra, OmegaConf or YAML raised into one line with its cure."""
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, MissingConfigException) and link.options is not None:
            return _unknown_option(link)
    for link in chain:
        path = getattr(link, "full_key", None)
        if isinstance(link, (ConfigAttributeError, ConfigKeyError)) and path:
            return unknown_field(str(path), schema)
        if isinstance(link, ValidationError) and path:
            return _wrong_type(str(path), link, schema)
    return _other(chain, sealed)


def unknown_field(path: str, schema: type) -> ConfigError:
    """Return the error for a field that does not exist, with the nearest one that does."""
    names = [name for name, _ in walk(schema)]
    sections = {name.partition(".")[0] for name in names if "." in name}
    like = nearest(path, [*names, *sorted(sections)], cutoff=0.0)
    return CONFIG("config_field", name=path, nearest=like)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unknown_option(error: MissingConfigException) -> ConfigError:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = [name for name in error.options or () if not name.endswith("_schema")]
    return unknown_choice(group, option, options)


def unknown_choice(group: str, option: str, options: Sequence[str]) -> ConfigError:
    """Return the error for a choice that a group does not have, with the nearest one that it has."""
    like = nearest(option, options, cutoff=0.0)
    hint = f'; did you mean "{group}={like}"? ' if like else "; "
    return CONFIG("config_group", group=group, choice=option, hint=hint, choices=", ".join(options) or "none")


def unreadable_value(name: str, value: str | None, schema: type) -> ConfigError:
    """Return the error for an override that Hydra's grammar cannot read; a known field says what it takes.

    value: None where there is no `=`.
    """
    field = dict(walk(schema)).get(name)
    if field is None and value is not None and name:
        return unknown_field(name, schema)
    if field is None or value is None:
        typed = name if value is None else f"{name}={value}"
        return CONFIG("config_grammar", typed=repr(typed))
    if field.metadata.get("choices"):
        allowed = ", ".join(field.metadata["choices"])
        return SETTINGS("config_choice", name=name, value=value, choices=allowed)
    return _wanted(name, field, f" not {value!r},")


def _wrong_type(path: str, error: OmegaConfBaseException, schema: type) -> ConfigError:
    field = dict(walk(schema)).get(path)
    if field is None:
        return CONFIG("config_section", name=path)
    value = _first_line(error).removeprefix("Value ").partition(" of type ")[0]
    return _wanted(path, field, f" not {value}," if value.startswith("'") else "")


def _wanted(path: str, field: dataclasses.Field[Any], given: str) -> ConfigError:
    wanted = str(field.type).replace("str", "text").replace("int", "whole number").replace("float", "number")
    wanted = wanted.replace("bool", "true or false").replace(" | None", " or null")
    allowed = ", ".join(field.metadata.get("choices", ())) or describe_range(field.metadata)
    form = f", written {path}=[ONE,TWO]" if wanted.startswith("list") else ""
    allowed = allowed or field.metadata["about"]
    return CONFIG("config_type", name=path, wanted=wanted + form, given=given, allowed=allowed)


def _other(chain: list[BaseException], sealed: Sealed) -> ConfigError:
    """The last resort: the first line of the outermost message, which is the one that names the override."""
    for link in chain:
        line = sealed.open(_first_line(link))
        if line.startswith("Ambiguous value for argument"):
            override = line.partition("'")[2].rstrip("'")
            return CONFIG("config_several", override=override)
    paths: list[Any] = [getattr(link, "full_key", None) for link in chain]
    path = next((path for path in paths if path), None)
    where = f"{path}: " if path else ""
    return CONFIG("config_other", where=where, message=sealed.open(_first_line(chain[0])))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
