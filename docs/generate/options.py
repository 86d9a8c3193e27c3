"""The pages of options: every field of a command, from the dataclasses that check it."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Sequence
from typing import Any

from core.cli.choices import Choices
from core.cli.usage import described
from core.settings.schema import MISSING, describe_range, stages_by_field, walk
from docs.generate.markdown import code, escaped, table

HEADER = ("option", "value", "default", "read by", "meaning")


def options_page(command: str, config_name: str, schema: type) -> str:
    """Return the page of a command: stages, groups, and a table of each section of its configuration."""
    fields = list(walk(schema))
    types = _types(schema)
    stages = dict(fields)["stage"].metadata["choices"]
    parts = [
        f"# Options of {command}\n",
        f"`{command} stage=STAGE [OPTION=VALUE ...] [GROUP=CHOICE ...]`\n",
        f"`{command} stage=STAGE --help` lists what a stage reads.\n",
        "## Stages\n",
        table(
            ("stage", "what it does"),
            [(code(name), escaped(about)) for name, about in described(stages).items()],
        ),
        "An option that the chosen stage does not read is refused. **Bold**: the stage needs it.\n",
    ]
    readers = stages_by_field(schema)
    chosen = _group_rows(config_name)
    if chosen:
        about = "A group sets several options at once: `GROUP=CHOICE`.\n"
        parts += ["## Groups\n", about, table(("group", "choice", "sets"), chosen)]
    for section in dict.fromkeys(path.rpartition(".")[0] for path, _ in fields):
        parts.append(f"## {section or 'General'}\n")
        rows = [
            _row(path, field, types[path], _read_by(field, readers[path], len(stages)))
            for path, field in fields
            if path.rpartition(".")[0] == section
        ]
        parts.append(table(HEADER, rows))
    return "\n".join(parts)


def _group_rows(config_name: str) -> list[tuple[str, str, str]]:
    choices = Choices(config_name)
    rows = []
    for group, names in choices.by_group.items():
        for name in names:
            choice = choices.read(group, name)
            assert choice, f"conf has no readable {group}/{name}.yaml"
            settings = {**choice.groups, **choice.fields}
            shown = (code(f"{path}={_written(value)}") for path, value in settings.items())
            rows.append((code(group), code(name), ", ".join(shown)))
    return rows


def _written(value: Any) -> str:
    """Return a value as it is typed on a command line."""
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def settings_page(title: str, about: str, schema: type) -> str:
    """Return the page of a single section, such as the queue's, whose options are `--name value`."""
    types = _types(schema)
    rows = [_row("--" + path.replace("_", "-"), field, types[path], "") for path, field in walk(schema)]
    kept = [(name, value, default, meaning) for name, value, default, _, meaning in rows]
    return f"# {title}\n\n{about}\n\n" + table(("option", "value", "default", "meaning"), kept)


def _row(
    path: str, field: dataclasses.Field[Any], annotation: Any, readers: str
) -> tuple[str, str, str, str, str]:
    return (code(path), _value(field, annotation), _default(field), readers, escaped(field.metadata["about"]))


def _value(field: dataclasses.Field[Any], annotation: Any) -> str:
    metadata = field.metadata
    if metadata.get("choices"):
        return ", ".join(map(code, metadata["choices"]))
    if metadata.get("path"):
        return "path" + (" that exists" if metadata.get("exists") else "")
    if metadata.get("free_text"):
        return "text"
    name = _name(annotation)
    allowed = describe_range(metadata)
    return f"{name}, {allowed}" if allowed else name


def _name(annotation: Any) -> str:
    words = {bool: "true or false", int: "whole number", float: "number", str: "word"}
    if typing.get_origin(annotation) is list:
        return f"list of {words.get(typing.get_args(annotation)[0], 'words')}s"
    inner = [part for part in typing.get_args(annotation) if part is not type(None)] or [annotation]
    return words[inner[0]]


def _default(field: dataclasses.Field[Any]) -> str:
    default = field.default_factory() if callable(field.default_factory) else field.default
    if default == MISSING:
        return "must be given"
    if default is None:
        return "none"
    if isinstance(default, bool):
        return code(str(default).lower())
    if isinstance(default, list):
        return code("[" + ",".join(map(str, default)) + "]")
    return code(default) if default != "" else "empty"


def _read_by(field: dataclasses.Field[Any], stages: Sequence[str], of: int) -> str:
    needed = field.metadata.get("needed_by", ())
    if len(stages) == of and not needed:
        return "every stage"
    return ", ".join(f"**{stage}**" if stage in needed else stage for stage in stages)


def _types(schema: type, prefix: str = "") -> dict[str, Any]:
    types: dict[str, Any] = {}
    for name, annotation in typing.get_type_hints(schema).items():
        path = f"{prefix}.{name}" if prefix else name
        if dataclasses.is_dataclass(annotation):
            types |= _types(typing.cast(type, annotation), path)
        else:
            types[path] = annotation
    return types
