"""The help page of a command: its stages, groups and fields, written from the schema and the `conf` folder."""

from __future__ import annotations

import dataclasses
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from core.settings.schema import MISSING, describe_range, walk

OPTIONS = """\
options:
  --cfg job         show the composed config and stop
  -m, --multirun    run every combination of comma-separated values; job i writes to output/i and run_dir/i
                    (dates of one scoring share an output)
  --config-dir DIR  look for groups in DIR too (DIR/experiment/mine.yaml: experiment=mine)
  --version         show the version
  --help            show this page

exit codes: 0 done; 2 wrong config or input; 3 internal fault; 4 finished, some inputs quarantined"""


def usage(command: str, config_name: str, schema: type) -> str:
    """Return the help page as text."""
    stages = dict(walk(schema))["stage"].metadata["choices"]
    lines = [f"{command} stage=STAGE [FIELD=VALUE ...] [GROUP=CHOICE ...]", ""]
    lines += [f"stages: {', '.join(stages)}", "", "groups:"]
    lines += [f"  {group:<11} {', '.join(options)}" for group, options in groups(config_name).items()]
    section = None
    for path, field in walk(schema):
        head = path.rpartition(".")[0]
        if head != section:
            lines += ["", f"{head or 'fields'}:"]
            section = head
        lines += _field_lines(path, field)
    return "\n".join([*lines, "", OPTIONS])


def groups(config_name: str) -> dict[str, list[str]]:
    """Return the choices of every group of an app: its own in `conf/<app>/`, the shared ones that its root names."""
    root = files("conf")
    defaults = yaml.safe_load(root.joinpath(f"{config_name}.yaml").read_text(encoding="utf-8"))["defaults"]
    named = {name for default in defaults if isinstance(default, dict) for name in default}
    folders = [item for item in root.iterdir() if item.is_dir() and item.name in named]
    own = root.joinpath(config_name)
    if own.is_dir():
        folders += [item for item in own.iterdir() if item.is_dir()]
    found = {
        folder.name: sorted(_stem(x) for x in folder.iterdir() if x.name.endswith(".yaml"))
        for folder in folders
    }
    return {name: found[name] for name in sorted(found) if found[name]}


def _stem(item: Traversable) -> str:
    return item.name.removesuffix(".yaml")


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
