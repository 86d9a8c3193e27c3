"""The entry point of every command: compose the config, check it, then call the stage.

A wrong config ends here with exit code 2 and one line, before anything heavy is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from core.cli.checks import check_inputs
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.cli.stages import INTERRUPTED, TERMINATED, record_fault, run_stage, to_yaml, worst
from core.cli.usage import asked_stage, usage
from core.errors import ExitCode, TriptychError


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
            _show(usage(command, config_name, schema, asked_stage(line.overrides, schema)) + "\n")
            return ExitCode.DONE
        if line.version:
            print(f"{command} {_version()}")
            return ExitCode.DONE
        jobs = compose_jobs(config_name, schema, line, parts)
    except TriptychError as error:
        print(f"{command}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # a config class of ours has a fault: there is no run yet that could record it
        print(f"{command}: {record_fault(app, error)}", file=sys.stderr)
        return ExitCode.FAULT
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


def _version() -> str:
    try:
        return version("triptych")
    except PackageNotFoundError:
        return "from a checkout that is not installed"
