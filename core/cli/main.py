"""The front door of every command: compose the config, check it, then call the stage.

A wrong config ends here with exit code 2 and one line, before anything heavy is imported.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from core.cli.command_line import CommandLine, read_command_line
from core.cli.faults import explain, unknown_field
from core.cli.free_text import Sealed
from core.cli.overrides import check_overrides, expand
from core.cli.stages import INTERRUPTED, TERMINATED, run_stage, to_yaml, worst
from core.cli.usage import usage
from core.errors import ConfigError, ExitCode, InputError, TriptychError
from core.settings.credentials import refuse_password
from core.settings.schema import build, describe_range, value_at, walk


def run_command(
    app: str,
    config_name: str,
    schema: type,
    stages: Mapping[str, str],
    argv: Sequence[str] | None = None,
    parts: Sequence[str] = (),
    check: Callable[[Any], None] | None = None,
) -> int:
    """Run the command `triptych-<app>` and return its exit code.

    config_name: root file in `conf`, which also names the folder of the app's own groups. schema: dataclass of
    the whole config. stages: stage name → "module:function", imported only after the config is checked. parts:
    fields that name a part of the output (a date): jobs of a sweep that differ in them alone share one output.
    check: raises a TriptychError for values that the schema cannot judge; called before the stage's imports.
    """
    command = f"triptych-{app}"
    try:
        line = read_command_line(sys.argv[1:] if argv is None else list(argv))
        if line.help:
            _show(usage(command, config_name, schema) + "\n")
            return ExitCode.DONE
        if line.version:
            print(f"{command} {_version()}")
            return ExitCode.DONE
        jobs = compose_jobs(config_name, schema, line, parts)
    except ConfigError as error:
        print(f"{command}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    if line.show_config:
        _show("---\n".join(to_yaml(job) for job in jobs))
        return ExitCode.DONE
    codes: list[int] = []
    for job in jobs:
        codes.append(_run(app, job, stages, check))
        if codes[-1] in (INTERRUPTED, TERMINATED):  # who stops one job of a sweep wants to stop them all
            break
    return worst(codes)


def _run(app: str, job: Any, stages: Mapping[str, str], check: Callable[[Any], None] | None) -> int:
    try:
        check_inputs(job)  # only now: an earlier job of a sweep may have made them
        if check is not None:
            check(job)
    except TriptychError as error:
        print(f"triptych-{app}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    return run_stage(app, job, stages)


def _show(text: str) -> None:
    """Print; a reader that has seen enough (`| head`) is no fault."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more at exit


def compose_jobs(config_name: str, schema: type, line: CommandLine, parts: Sequence[str] = ()) -> list[Any]:
    """Return one checked config object for each job of the command line; all are checked before any runs."""
    sealed = Sealed(path for path, field in walk(schema) if field.metadata["free_text"])
    several = parts if line.multirun else ()
    overrides = [sealed.seal(override, several) for override in line.overrides]
    check_overrides(overrides, line.overrides, config_name, schema)
    folders = [f"pkg://conf.{config_name}", *(f"file://{Path(folder).absolute()}" for folder in line.folders)]
    if line.folders:
        overrides.append(f"hydra.searchpath={_quoted(folders)}")
    jobs = expand(overrides) if line.multirun else [overrides]
    configs = [compose_one(config_name, schema, job, sealed) for job in jobs]
    _separate(
        configs, [[text for text in job if text.partition("=")[0].lstrip("+") not in parts] for job in jobs]
    )
    return configs


def compose_one(config_name: str, schema: type, overrides: list[str], sealed: Sealed) -> Any:
    """Compose one job with Hydra and return it as a checked `schema` object."""
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
    config = build(schema, sealed.open_all(content))
    _check_texts(config)
    _check_needs(config)
    return config


@contextlib.contextmanager
def _no_environment() -> Iterator[None]:
    """Refuse `${oc.env:NAME}` wherever it stands: the value of the variable would be recorded, or shown in an error."""

    def refuse(name: object, *_: object) -> None:
        raise ConfigError(
            "config_environment",
            f"${{oc.env:{name}}} would record the value of a variable of the environment: write the value itself; "
            "passwords of databases are read from $PGPASSWORD, ~/.pgpass or a service file without being named",
        )

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _version() -> str:
    try:
        return version("triptych")
    except PackageNotFoundError:
        return "from a checkout that is not installed"


def _quoted(texts: Sequence[str]) -> str:
    escaped = (text.replace("\\", "\\\\").replace("'", "\\'") for text in texts)
    return "[" + ",".join(f"'{text}'" for text in escaped) + "]"


def _separate(configs: Sequence[Any], kinds: Sequence[list[str]]) -> None:
    """Give each job of a sweep its own folders, so that none overwrites another; those of one kind share an output."""
    order = [kind for place, kind in enumerate(kinds) if kind not in kinds[:place]]
    for index, (config, kind) in enumerate(zip(configs, kinds, strict=True)):
        if len(configs) > 1:
            _put_below(config, "run_dir", index)
        if len(order) > 1:
            _put_below(config, "output", order.index(kind))


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
        raise ConfigError(
            "config_missing",
            f"{missing[0]} is missing ({field.metadata['about']}): add {missing[0]}=…, {wanted}",
        )


def _leaves(node: DictConfig, prefix: str = "") -> list[str]:
    paths: list[str] = []
    for key in node:
        path = f"{prefix}{key!s}"
        child = node._get_node(key)
        paths += (
            _leaves(child, f"{path}.") if isinstance(child, DictConfig) and not child._is_none() else [path]
        )
    return paths


def _check_texts(config: Any) -> None:
    """Refuse what may not be recorded, and bytes that only a path may have."""
    for path, field in walk(config):
        text = value_at(config, path)
        if not isinstance(text, str):
            continue
        refuse_password(path, text)
        if not field.metadata["path"] and any("\udc80" <= letter <= "\udcff" for letter in text):
            raise ConfigError("config_encoding", f"{path} holds a byte that is not UTF-8: only a path may")


def _check_needs(config: Any) -> None:
    """Refuse a stage whose fields are not all given."""
    for path, field in walk(config):
        if config.stage in field.metadata.get("needed_by", ()) and value_at(config, path) in (None, ""):
            raise ConfigError(
                "config_missing",
                f"stage={config.stage} needs {path} ({field.metadata['about']}): add {path}=…",
            )


def check_inputs(config: Any) -> None:
    """Refuse a path that is to be read and leads nowhere, before anything heavy is imported."""
    for path, field in walk(config):
        text = value_at(config, path)
        deferred = field.metadata.get("deferred_by")
        if (
            not field.metadata.get("exists")
            or not text
            or "://" in text
            or (deferred and value_at(config, deferred))
        ):
            continue
        try:
            os.stat(text)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no path holds a null character"
            raise InputError("input_missing", f"{path}={text} cannot be read: {reason}") from None
