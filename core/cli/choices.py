"""The choices of config groups: which there are, and which fields each of their files sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

EXPERIMENT = "experiment"  # the group whose files set fields of all sections, as a person would type them
_PACKAGE = "# @package"


@dataclass(frozen=True)
class Choice:
    """What one file of a group sets. fields: full path → value. groups: group → choice that it takes instead."""

    fields: Mapping[str, Any]
    groups: Mapping[str, str]


class Choices:
    """The config groups that a command line can choose from.

    config_name: root file in `conf`, which also names the folder of the app's own groups. folders: more folders with
    groups, as --config-dir names them.
    """

    def __init__(self, config_name: str, folders: Sequence[str] = ()) -> None:
        self.by_group = groups(config_name)
        shared = files("conf")
        self._roots: list[Traversable] = [shared.joinpath(config_name), shared, *map(Path, folders)]

    def plain(self, override: str) -> str:
        """Return an override of a group without the plus that Hydra's own grammar asks for in other places."""
        name = override.partition("=")[0]
        return override.lstrip("+") if name.lstrip("+") in self.by_group else override

    def read(self, group: str, choice: str) -> Choice | None:
        """Return what a choice sets; None where no file of that name can be read, which Hydra then reports."""
        for root in self._roots:
            path = root.joinpath(group, f"{choice}.yaml")
            if path.is_file():
                try:
                    text = path.read_text(encoding="utf-8")
                    content = yaml.safe_load(text)
                except (OSError, UnicodeDecodeError, yaml.YAMLError):
                    return None
                return _choice(group, text, content) if isinstance(content, dict) else None
        return None


def groups(config_name: str) -> dict[str, list[str]]:
    """Return the choices of every group of an app: its own in `conf/<app>/`, the shared ones that its root names."""
    root = files("conf")
    defaults = yaml.safe_load(root.joinpath(f"{config_name}.yaml").read_text(encoding="utf-8"))["defaults"]
    named = {name for default in defaults if isinstance(default, dict) for name in default}
    folders = [item for item in root.iterdir() if item.is_dir() and item.name in named]
    own = root.joinpath(config_name)
    if own.is_dir():
        folders += [item for item in own.iterdir() if item.is_dir()]
    choices = {
        folder.name: sorted(
            item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")
        )
        for folder in folders
    }
    return {name: choices[name] for name in sorted(choices) if choices[name]}


def _choice(group: str, text: str, content: dict[str, Any]) -> Choice:
    package = next(
        (line.removeprefix(_PACKAGE).strip() for line in text.splitlines() if line.startswith(_PACKAGE)),
        group,
    )
    prefix = "" if package == "_global_" else f"{package}."
    taken: dict[str, str] = {}
    for default in content.pop("defaults", None) or ():
        for name, choice in (default if isinstance(default, dict) else {}).items():
            taken[str(name).removeprefix("override ").strip("/ ")] = str(choice)
    return Choice(dict(leaves(content, prefix)), taken)


def leaves(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (full path, value) of every value in nested mappings."""
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def typed(override: str) -> tuple[str, Any]:
    """Return name and value of an override as Hydra reads them: quotes around a word are not part of it."""
    parsed = OverridesParser.create().parse_override(override)
    return parsed.get_key_element().lstrip("+"), parsed.value()


def typed_fields(name: str, value: Any) -> list[str]:
    """Return the full paths of the fields that an override sets, several where its value is a mapping."""
    return list(dict(leaves(value, f"{name}."))) if isinstance(value, dict) else [name]
