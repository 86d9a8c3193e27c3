"""Describe a config field once: default, unit, range, help; ranges are checked when an object is built.

Three read the descriptions: the checks here, the help page (`core.cli.usage`) and the entry point (`core.cli.main`).
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from core.settings.reasons import SETTINGS, UNKNOWN

MISSING = "???"  # OmegaConf's own mark of a mandatory value
EVERY = ("every stage",)  # as `stages=`: whatever the command does reads it


def setting(
    default: Any,
    about: str,
    *,
    unit: str = "",
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | Mapping[str, str] = (),
    needed_by: Sequence[str] = (),
    stages: Sequence[str] = (),
    only_with: str = "",
) -> Any:
    """Declare one field of a config dataclass.

    unit: shown in help and errors. low / high: inclusive bounds; above: exclusive lower bound; each element of
    a list is checked. choices: allowed words, or word → what it means in one line. needed_by: stages that cannot
    run while the value is None. stages: those that read it, by default those that need it, else what the section
    around it says. only_with: what it depends on, "image" (that field is given) or "data.source=folder" (it has that
    value): without it, whoever types this field is refused, since it would do nothing.
    """
    metadata = {
        "about": about,
        "unit": unit,
        "low": low,
        "above": above,
        "high": high,
        "choices": dict(choices) if isinstance(choices, Mapping) else tuple(choices),
        "stages": tuple(stages),
        "needed_by": tuple(needed_by),
        "only_with": only_with,
        "free_text": False,
        "path": False,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def free_text(
    default: str | None,
    about: str,
    *,
    null: str = "",
    stages: Sequence[str] = (),
    needed_by: Sequence[str] = (),
    only_with: str = "",
) -> Any:
    """Declare a field that takes any text exactly as typed: a sentence, the name of a column.

    null: what the word null means, which is then read as no value. only_with: as of `setting`.
    """
    metadata = {
        "about": f"{about}; null: {null}" if null else about,
        "null": bool(null),
        "only_with": only_with,
        "stages": tuple(stages),
        "needed_by": tuple(needed_by),
        "free_text": True,
        "path": False,
    }
    return dataclasses.field(default=default, metadata=metadata)


def path_text(
    default: str | None,
    about: str,
    *,
    null: str = "",
    exists: bool = False,
    deferred_by: str | None = None,
    needed_by: Sequence[str] = (),
    stages: Sequence[str] = (),
    only_with: str = "",
) -> Any:
    """Declare a field that names a file, a folder or a URL, exactly as typed; any bytes that a file system takes.

    null: what the word null means, which is then read as no value; `./null` names a file of that name.
    exists: it is read, so a missing one is refused before anything is loaded. deferred_by: field that puts the
    reading off to a later time, such as a schedule; where it is given, nothing needs to exist yet. only_with: as of
    `setting`.
    """
    metadata = {
        "about": f"{about}; null: {null}" if null else about,
        "null": bool(null),
        "only_with": only_with,
        "stages": tuple(stages),
        "needed_by": tuple(needed_by),
        "free_text": True,
        "path": True,
        "exists": exists,
        "deferred_by": deferred_by,
    }
    return dataclasses.field(default=default, metadata=metadata)


def section(config_class: Any, *, stages: Sequence[str] = ()) -> Any:
    """Declare a field that is a section, with its defaults; `stages` read those of its fields that name none."""
    return dataclasses.field(default_factory=config_class, metadata={"stages": tuple(stages)})


class Section:
    """Base of config dataclasses: checks its ranges when it is built.

    where: path of the section in the whole config ("trainer"), so that errors name the full path.
    """

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            name = f"{self.where}.{field.name}" if self.where else field.name
            check_value(name, getattr(self, field.name), field.metadata)


def check_value(name: str, value: Any, metadata: Any) -> None:
    """Raise ConfigError when the value lies outside what the metadata allow; None and MISSING pass."""
    if value is None or value == MISSING:
        return
    choices = metadata.get("choices", ())
    if choices and value not in choices:
        raise SETTINGS("config_choice", name=name, value=value, choices=", ".join(choices))
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            _check_number(name, value, number, metadata)


def _check_number(name: str, value: Any, number: float, metadata: Any) -> None:
    low, above, high = (metadata.get(key) for key in ("low", "above", "high"))
    inside = (
        math.isfinite(number)
        and (low is None or number >= low)
        and (above is None or number > above)
        and (high is None or number <= high)
    )
    if not inside:
        allowed = describe_range(metadata) or "finite"
        raise SETTINGS("config_range", name=name, value=value, allowed=allowed)


def describe_range(metadata: Any) -> str:
    """Return the allowed range in words, with its unit; empty where there is none."""
    low, above, high = (metadata.get(key) for key in ("low", "above", "high"))
    words = []
    if above is not None:
        words.append(f"more than {_exact(above)}")
    if low is not None and high is not None:
        words.append(f"{_exact(low)} to {_exact(high)}")
    elif low is not None:
        words.append(f"{_exact(low)} or more")
    elif high is not None:
        words.append(f"at most {_exact(high)}")
    text = " and ".join(words)
    unit = metadata.get("unit", "")
    return f"{text} {unit}".strip() if text else ""


def _exact(number: float) -> str:
    """Return a bound with all its digits: a rounded one would invite a value that is refused."""
    return str(number) if isinstance(number, int) else f"{number:g}"


def build(schema: Any, content: Mapping[str, Any]) -> Any:
    """Return an object of a config dataclass from nested mappings, so that its checks see the values themselves.

    Raises ConfigError from the checks, and UnknownField for a name that the schema does not have.
    """
    types = typing.get_type_hints(schema)
    values = {}
    for name, value in content.items():
        if name not in {field.name for field in dataclasses.fields(schema)}:
            raise UNKNOWN("config_unknown", name=name, schema=schema.__name__)
        values[name] = build(types[name], value) if dataclasses.is_dataclass(types[name]) else value
    return schema(**values)


def value_at(config: Any, path: str) -> Any:
    """Return the value of a field by its full path, such as `trainer.max_steps`."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def walk(schema: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Yield (full path, field) of every leaf of a config dataclass, in the order of declaration."""
    instance = schema() if isinstance(schema, type) else schema
    for field in dataclasses.fields(instance):
        path = f"{prefix}.{field.name}" if prefix else field.name
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, path)
        else:
            yield path, field


def stages_by_field(schema: Any) -> dict[str, tuple[str, ...]]:
    """Return full path → stages that read the field, in the order of declaration; () where none is declared."""
    every = dict(walk(schema))["stage"].metadata["choices"]
    return {
        path: tuple(every) if stages == EVERY else stages
        for path, stages in _declared(schema, "", ()).items()
    }


def _declared(schema: Any, prefix: str, around: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    instance = schema() if isinstance(schema, type) else schema
    declared: dict[str, tuple[str, ...]] = {}
    for field in dataclasses.fields(instance):
        path = f"{prefix}.{field.name}" if prefix else field.name
        stages = field.metadata.get("stages") or field.metadata.get("needed_by") or around
        value = getattr(instance, field.name)
        declared |= _declared(value, path, stages) if dataclasses.is_dataclass(value) else {path: stages}
    return declared


def with_absolute_paths(config: Any) -> Any:
    """Return a copy of a config whose relative paths mean the same in any working directory.

    URLs stay, except that of an SQLite file: what a worker elsewhere, or later, reads is the same file.
    """
    return _absolute(config)


def _absolute(section: Any) -> Any:
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            changed[field.name] = _absolute(value)
        elif field.metadata.get("path") and value:
            changed[field.name] = _absolute_path(value)
    return dataclasses.replace(section, **changed)


def _absolute_path(text: str) -> str:
    scheme = "sqlite:///"
    if text.startswith(scheme):
        return scheme + str(Path(text.removeprefix(scheme)).absolute())
    return text if "://" in text else str(Path(text).absolute())
