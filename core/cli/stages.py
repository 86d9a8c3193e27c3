"""Run one stage: open the run folder, import the verb late, map every error to an exit code and one line."""

from __future__ import annotations

import dataclasses
import errno
import importlib
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import yaml

from core.cli.reasons import START
from core.errors import ExitCode, OutputError, TriptychError, frames_of, where_of
from core.runs.folder import Run, held_training, is_helper, open_run
from core.runs.outputs import output_error
from core.runs.stop import Stopped, stoppable
from core.terminal.silence import silenced

INTERRUPTED = 130  # what a shell reports after Ctrl-C
TERMINATED = 143  # and after SIGTERM
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def run_stage(app: str, config: Any, stages: Mapping[str, str]) -> int:
    """Run `config.stage` and return the exit code; prints at most one line, on stderr.

    stages: name → "module:function" of a `run(config, run) -> int`.
    """
    command = f"triptych-{app}"
    try:
        run = open_run(app, config.stage, config.run_dir, to_yaml(config), config.seed)
    except TriptychError as error:
        print(f"{command}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # there is no log yet that could hold the frames
        print(f"{command}: {_unrecorded(error)}", file=sys.stderr)
        return ExitCode.FAULT
    started = time.monotonic()
    with stoppable(), silenced() as counts:
        code, line = _call(stages[config.stage], config, run)
    if line:
        print(f"{command}: {line}", file=sys.stderr)
    try:
        _finish(run, code, counts, time.monotonic() - started)
    except TriptychError as error:  # the disk may fill up at the very end
        if not line:
            print(f"{command}: {error.sentence}", file=sys.stderr)
        return worst([code, error.exit_code])
    return code


def worst(codes: Sequence[int]) -> int:
    """Return the exit code of several jobs: an interruption, else a fault, bad input, quarantine, done."""
    order = [ExitCode.DONE, ExitCode.QUARANTINED, ExitCode.BAD_INPUT, ExitCode.FAULT, TERMINATED, INTERRUPTED]
    return int(max(codes, key=order.index))


def to_yaml(config: Any) -> str:
    """Return a config object as YAML, fields in the order of their declaration."""
    text: str = yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True)
    return text


def _call(target: str, config: Any, run: Run) -> tuple[int, str]:
    """Call the verb; return its exit code and the line to show, empty where all went well."""
    try:
        run.log.event("started", stage=config.stage, seed=config.seed)
        return int(_verb(target, config.stage)(config, run)), ""
    except Stopped as stop:
        if (
            run.rank
        ):  # the first process says it; a helper of Lightning's that fails would get that one killed
            return ExitCode.DONE if is_helper() else stop.exit_code, ""
        return stop.exit_code, _stopped(stop.name, stop.saved, run)
    except (KeyboardInterrupt, SystemExit):  # of a library that takes signals by itself
        return INTERRUPTED, _stopped("Ctrl-C", "", run)
    except TriptychError as error:
        if error.exit_code == ExitCode.FAULT:
            return ExitCode.FAULT, _fault(error, run)
        # 2 also for an ItemRefused that no verb caught: then the item was all there is.
        return ExitCode.BAD_INPUT, _without_private_path(error, config, run).sentence
    except OSError as error:
        if error.errno in _DISK_FAULTS:
            return ExitCode.BAD_INPUT, output_error(error, _public_folder(error, config, run)).sentence
        return ExitCode.FAULT, _fault(error, run)
    except Exception as error:
        return ExitCode.FAULT, _fault(error, run)


def _stopped(signal: str, saved: str, run: Run) -> str:
    """Say what ended the run, and how it goes on: from its run folder where that holds a training."""
    what = f"stopped by {signal}" + (f", {saved}" if saved else "")
    if held_training(run.path) is not None:
        return f"{what}; the same command with run_dir={run.path} resumes it"
    return f"{what}; nothing is kept to resume from: run the same command again"


def _verb(target: str, stage: str) -> Callable[[Any, Run], int]:
    module, _, function = target.partition(":")
    try:
        verb: Callable[[Any, Run], int] = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package in ("", "apps", "core", "tests"):
            raise
        extra = _extra_of(package)
        if extra is None:
            raise START("stage_package_unknown", stage=stage, package=package) from error
        raise START("stage_package", stage=stage, package=package, extra=extra) from error
    return verb


def _extra_of(package: str) -> str | None:
    """Return the extra of this project that installs a package; None where none does, or nothing is installed."""
    try:
        wanted = requires("triptych") or []
    except PackageNotFoundError:
        return None
    distribution = {"multipart": "python-multipart"}.get(package, package).replace("_", "-")
    pattern = re.compile(rf"{re.escape(distribution)}\b.*extra == ['\"](?!dev)([\w-]+)", re.IGNORECASE)
    matches = (pattern.match(one.replace("_", "-")) for one in wanted)
    return next((match[1] for match in matches if match), None)


def record_fault(app: str, error: BaseException) -> str:
    """Record a fault that came before any stage in a run folder of its own; return the line to show."""
    try:
        run = open_run(app, "config", None, "", None)
    except (TriptychError, OSError):
        return _unrecorded(error)
    with run.log:
        return _fault(error, run)


def _unrecorded(error: BaseException) -> str:
    return f"internal fault: {type(error).__name__} at {where_of(error)}"


def _fault(error: BaseException, run: Run) -> str:
    """Log type and frames of a fault, never its message: that may quote an input."""
    where, name = where_of(error), type(error).__name__
    try:
        run.log.event("fault", type=name, where=where, frames=frames_of(error))
    except TriptychError:
        return _unrecorded(error)
    return f"internal fault: {name} at {where}; see {run.path / run.log.path.name}"


def _word(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._/-") else "-" for c in text)


def _without_private_path(error: TriptychError, config: Any, run: Run) -> TriptychError:
    """Name the folder that the user typed, not the file below it: a folder of results has a UID for a name."""
    cause = error.__cause__
    if isinstance(error, OutputError) and isinstance(cause, OSError):
        return output_error(cause, _public_folder(cause, config, run))
    return error


def _public_folder(error: OSError, config: Any, run: Run) -> str:
    output = getattr(config, "output", None)
    touched = Path(str(error.filename)).absolute() if error.filename else None
    if touched and output and touched.is_relative_to(Path(output).absolute()):
        return str(output)
    if touched and touched.is_relative_to(run.path.absolute()):
        return str(run.path)
    return str(output) if output else str(run.path)


def _finish(run: Run, code: int, counts: Counter[str], seconds: float) -> None:
    with run.log:
        for module, count in sorted(counts.items()):
            run.log.event("withheld", module=_word(module) or "unknown", count=count)
        run.log.event("finished", exit_code=int(code), seconds=round(seconds, 3))
