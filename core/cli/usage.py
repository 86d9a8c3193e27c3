"""The help page of a command: its stages, groups and fields, written from the schema and the `conf` folder."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from core.cli.choices import Choices
from core.settings.reasons import SETTINGS
from core.settings.schema import MISSING, describe_range, stages_by_field, walk

OPTIONS = """\
options:
  --cfg job         show the composed config and stop
  -m, --multirun    run every combination of comma-separated values; job i writes to output/i and run_dir/i
                    (dates of one scoring share an output)
  --config-dir DIR  look for groups in DIR too (DIR/experiment/mine.yaml: experiment=mine)
  --version         show the version
  --help            show the stages; with stage=STAGE, the fields that it reads

exit codes: 0 done; 2 wrong config or input; 3 internal fault; 4 finished, some inputs quarantined"""


def asked_stage(overrides: Sequence[str], schema: type) -> str | None:
    """Return the stage that a command line names, for its help; None where it names none. Raises ConfigError."""
    named = [text.partition("=")[2] for text in overrides if text.startswith("stage=")]
    if not named:
        return None
    choices = tuple(dict(walk(schema))["stage"].metadata["choices"])
    if named[-1] not in choices:
        raise SETTINGS("config_choice", name="stage", value=named[-1], choices=", ".join(choices))
    return named[-1]


def usage(command: str, config_name: str, schema: type, stage: str | None = None) -> str:
    """Return the help page as text: of the whole command, or the options that one stage reads."""
    stages = dict(walk(schema))["stage"].metadata["choices"]
    width = max(map(len, stages))
    if stage is None:
        lines = [f"{command} stage=STAGE [FIELD=VALUE ...] [GROUP=CHOICE ...]", "", "stages:"]
        lines += [f"  {name:<{width}}  {about}" for name, about in described(stages).items()]
        lines += ["", f"{command} stage=STAGE --help shows the fields that a stage reads."]
    else:
        about = described(stages)[stage]
        lines = [f"{command} stage={stage} [FIELD=VALUE ...] [GROUP=CHOICE ...]", "", f"{stage}: {about}"]
    choices = Choices(config_name)
    readers = stages_by_field(schema)
    shown = {
        group: names
        for group, names in choices.by_group.items()
        if stage is None or _is_read(stage, group, choices, readers)
    }
    if shown:
        lines += ["", "groups:"]
    for group, names in shown.items():
        lines += textwrap.wrap(
            ", ".join(names), 106, initial_indent=f"  {group:<11} ", subsequent_indent=" " * 14
        )
    lines += _fields(schema, stage, readers) if stage is not None else []
    return "\n".join([*lines, "", OPTIONS])


def described(stages: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Return stage → what it does, in one line; empty where nothing is said."""
    return dict(stages) if isinstance(stages, Mapping) else dict.fromkeys(stages, "")


def _fields(schema: type, stage: str, readers: Mapping[str, Sequence[str]]) -> list[str]:
    lines: list[str] = []
    section = None
    for path, field in walk(schema):
        if stage not in readers[path]:
            continue
        head = path.rpartition(".")[0]
        if head != section:
            lines += ["", f"{head or 'fields'}:"]
            section = head
        lines += _field_lines(path, field)
    return lines


def _is_read(stage: str, group: str, choices: Choices, readers: Mapping[str, Sequence[str]]) -> bool:
    """Whether a stage reads a field that some choice of the group sets."""
    read = [choices.read(group, name) for name in choices.by_group[group]]
    return any(
        stage in readers.get(field, ()) for choice in read if choice is not None for field in choice.fields
    )


def _field_lines(path: str, field: dataclasses.Field[Any]) -> list[str]:
    notes = [", ".join(field.metadata.get("choices", ())) or describe_range(field.metadata)]
    default = field.default
    if default is MISSING or default == MISSING:
        notes.append("mandatory")
    elif default is not None and default is not dataclasses.MISSING:
        notes.append(f"default {default}")
    needed = field.metadata.get("needed_by", ())
    if needed:
        notes.append(f"needed by {', '.join(needed)}")
    tail = "; ".join(note for note in notes if note)
    return [f"  {path}", f"      {field.metadata['about']}{f' ({tail})' if tail else ''}"]
