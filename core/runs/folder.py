"""The run folder: what ran, on what, with which config, and what came out. Results for others lie elsewhere.

runs/<app>/<stage>/<time>/
├── config.yaml       the resolved config
├── provenance.json   packages, device, commit, seed, command
├── metrics.json      numbers of the run
├── log.jsonl         events (rank 0; log.rank1.jsonl … for the others)
└── checkpoints/      of a training, with the settings that it was begun with (core/runs/training.py)
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.runs.files import make_folder, write_json, write_text
from core.runs.log import RunLog
from core.runs.outputs import output_error
from core.runs.provenance import provenance
from core.runs.reasons import PROCESSES, RUN_FOLDER

INHERITED = "TRIPTYCH_RUN_DIR"  # how the processes that a trainer starts find the folder of the first one


SETTINGS = Path("checkpoints", "settings.json")


class Run:
    """An open run folder. An existing folder is used again: log and checkpoints stay.

    A folder that holds a training keeps its records until `record` is called. stage: what runs now. command: how
    lines for the terminal begin. Raises ConfigError where the folder holds a training of another stage, or one whose
    settings are not known.
    """

    def __init__(
        self,
        path: Path,
        config_yaml: str = "",
        seed: int | None = None,
        *,
        stage: str = "",
        command: str = "triptych",
    ) -> None:
        self.path = make_folder(path)
        self.rank = process_rank()
        self._config_yaml, self._seed, self._command = config_yaml, seed, command
        held = held_training(self.path)
        if held is not None and stage and held["stage"] != stage:
            raise RUN_FOLDER("run_dir_stage", folder=path, held=held["stage"], stage=stage)
        self._recorded = held is None
        if self._recorded:
            self._write_records()
        self.log = RunLog(self.path / (f"log.rank{self.rank}.jsonl" if self.rank else "log.jsonl"))

    def record(self) -> None:
        """Record config and provenance of this run in place of those of the run before, whose metrics go."""
        if not self._recorded:
            self._recorded = True
            self._write_records()
            if self.rank == 0:
                (self.path / "metrics.json").unlink(missing_ok=True)

    def say(self, line: str) -> None:
        """Show a line on the terminal, once for all processes of the run."""
        # not sys.stderr, which a stage withholds: core/terminal/silence.py
        if self.rank == 0 and sys.__stderr__ is not None:
            print(f"{self._command}: {line}", file=sys.__stderr__, flush=True)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json; only the first of several processes does. Those of a finished training stay."""
        path = self.path / "metrics.json"
        if not self._recorded and path.exists():
            self.say(
                f"{self.path} held this training already, finished: nothing was trained, its records stay"
            )
        elif self.rank == 0:
            write_json(path, dict(metrics))

    def _write_records(self) -> None:
        if self.rank == 0:
            write_text(self.path / "config.yaml", self._config_yaml)
            write_json(self.path / "provenance.json", provenance(self._seed, sys.argv))

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def open_run(app: str, stage: str, run_dir: str | None, config_yaml: str, seed: int | None) -> Run:
    """Open `run_dir`, or a new folder below `runs/` named by the time in UTC.

    The folder's name goes to the environment, where child processes of the same run find it. Raises ConfigError where
    several processes were started without a `run_dir`: each would make a folder of its own.
    """
    inherited = os.environ.get(INHERITED) if process_rank() else None
    if run_dir or inherited:
        path = Path(run_dir or inherited or "")
    elif process_rank() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PROCESSES("run_dir")
    else:
        path = _new_folder(records_of(app) / stage)
    run = Run(path, config_yaml, seed, stage=stage, command=f"triptych-{app}")
    os.environ[INHERITED] = str(path.absolute())
    return run


def held_training(folder: Path) -> dict[str, Any] | None:
    """Return what the training in a run folder was begun with; None where there are no checkpoints.

    Raises ConfigError where there are some, and what they were begun with is missing or damaged.
    """
    files = (folder / "checkpoints").rglob("*")
    if not any(path.suffix in (".ckpt", ".safetensors") for path in files):
        return None
    try:
        held = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        held = None
    parts = {"stage": str, "settings": dict, "steps": dict, "sources": dict}
    whole = isinstance(held, dict) and all(
        isinstance(held.get(name), expected) for name, expected in parts.items()
    )
    if whole and all(isinstance(one, dict) and "digest" in one for one in held["sources"].values()):
        return dict(held)
    raise RUN_FOLDER("run_dir_damaged", settings=folder / SETTINGS, checkpoints=folder / "checkpoints")


def records_of(app: str) -> Path:
    """Return the folder below the working directory where an app's runs are recorded unless run_dir= names another."""
    return Path("runs") / app


def process_rank() -> int:
    """Return this process's rank among those of one run, as torchrun, SLURM or Lightning set it."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


def is_helper() -> bool:
    """Return whether Lightning started this process beside the first one, which alone reports to the user."""
    return process_rank() > 0 and not any(name in os.environ for name in ("RANK", "SLURM_PROCID"))


def _new_folder(parent: Path) -> Path:
    """Make a folder that no other run has: two that start in the same moment get different names."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
    make_folder(parent)
    count = 1
    while True:
        path = parent / (stamp if count == 1 else f"{stamp}-{count}")
        try:
            path.mkdir()
        except FileExistsError:
            count += 1
        except OSError as error:
            raise output_error(error, parent) from error
        else:
            return path
