"""Compose the config of each job of a command line with Hydra, and check it against its schema."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from core.cli.checks import check_needs, check_texts
from core.cli.choices import Choices
from core.cli.command_line import CommandLine
from core.cli.companions import check_companions
from core.cli.faults import explain, unknown_field
from core.cli.free_text import Sealed
from core.cli.overrides import check_overrides, expand
from core.cli.reasons import CONFIG
from core.cli.stage_options import check_stage, with_preset
from core.errors import ConfigError
from core.settings.schema import build, describe_range, walk


def compose_jobs(config_name: str, schema: type, line: CommandLine, parts: Sequence[str] = ()) -> list[Any]:
    """Return one checked config object for each job of the command line; all are checked before any runs."""
    schema()  # a fault of the class itself must not be taken for one of the config
    texts = [(path, field) for path, field in walk(schema) if field.metadata["free_text"]]
    sealed = Sealed((path for path, _ in texts), (path for path, field in texts if field.metadata["null"]))
    choices = Choices(config_name, line.folders)
    several = parts if line.multirun else ()
    overrides = [sealed.seal(choices.plain(override), several) for override in line.overrides]
    check_overrides(overrides, line.overrides, choices, schema)
    folders = [f"pkg://conf.{config_name}", *(f"file://{Path(folder).absolute()}" for folder in line.folders)]
    if line.folders:
        overrides.append(f"hydra.searchpath={_quoted(folders)}")
    jobs = expand(overrides) if line.multirun else [overrides]
    configs = []
    for job in jobs:
        content = compose_one(config_name, schema, with_preset(job, schema, choices), sealed)
        check_stage(schema, content["stage"], job, choices)
        configs.append(checked(schema, sealed.open_all(content)))
        check_companions(configs[-1], job)
    _separate(
        configs, [[text for text in job if text.partition("=")[0].lstrip("+") not in parts] for job in jobs]
    )
    return configs


def compose_one(config_name: str, schema: type, overrides: list[str], sealed: Sealed) -> dict[str, Any]:
    """Compose one job with Hydra; return its values, free texts still as tokens, all of fields that the schema has.

    Raises ConfigError, whatever it is that Hydra, OmegaConf or a YAML file finds wrong.
    """
    ConfigStore.instance().store(name=f"{config_name}_schema", node=schema)
    try:
        with initialize_config_module("conf", version_base="1.3"), _no_environment():
            node = compose(config_name, overrides)
            _check_keys(node, schema)
            content = OmegaConf.to_container(node, resolve=True)
    except ConfigError:
        raise
    except Exception as error:  # whatever Hydra, OmegaConf or a YAML file raises is a fault of the config
        raise explain(error, schema, sealed) from None
    assert isinstance(content, dict)
    return {str(name): value for name, value in content.items()}


def checked(schema: type, content: dict[str, Any]) -> Any:
    """Return the values as a `schema` object. Raises ConfigError where they are not what its fields allow."""
    config = build(schema, content)
    check_texts(config)
    check_needs(config)
    return config


@contextlib.contextmanager
def _no_environment() -> Iterator[None]:
    """Refuse `${oc.env:NAME}` wherever it stands: the value of the variable would be recorded, or shown in an error."""

    def refuse(name: object, *_: object) -> None:
        raise CONFIG("config_environment", name=name)

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _quoted(texts: Sequence[str]) -> str:
    escaped = (text.replace("\\", "\\\\").replace("'", "\\'") for text in texts)
    return "[" + ",".join(f"'{text}'" for text in escaped) + "]"


def _separate(configs: Sequence[Any], choices: Sequence[list[str]]) -> None:
    """Give each job of a sweep its own folders; jobs of the same choices share an output."""
    distinct = [choice for index, choice in enumerate(choices) if choice not in choices[:index]]
    for index, (config, choice) in enumerate(zip(configs, choices, strict=True)):
        if len(configs) > 1:
            _put_below(config, "run_dir", index)
        if len(distinct) > 1:
            _put_below(config, "output", distinct.index(choice))


def _put_below(config: Any, name: str, index: int) -> None:
    if getattr(config, name, None):
        setattr(config, name, str(Path(getattr(config, name)) / str(index)))


def _check_keys(node: DictConfig, schema: type) -> None:
    leaves = {path for path, _ in walk(schema)}
    for path in _leaves(node):
        if path not in leaves:
            raise unknown_field(path, schema)
    missing = sorted(OmegaConf.missing_keys(node))
    if missing:
        field = dict(walk(schema))[missing[0]]
        allowed = ", ".join(field.metadata.get("choices", ())) or describe_range(field.metadata)
        wanted = f"one of {allowed}" if field.metadata.get("choices") else allowed
        raise CONFIG("config_missing", name=missing[0], about=field.metadata["about"], wanted=wanted)


def _leaves(node: DictConfig, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key in node:
        path = f"{prefix}{key!s}"
        child = node._get_node(key)
        paths += (
            _leaves(child, f"{path}.") if isinstance(child, DictConfig) and not child._is_none() else [path]
        )
    return paths
