"""The run folder: what ran, on what, with which config, and what came out. Results for others lie elsewhere.

runs/<app>/<stage>/<time>/
├── config.yaml       the resolved config
├── provenance.json   packages, device, commit, seed, command
├── metrics.json      numbers of the run
├── log.jsonl         events (rank 0; log.rank1.jsonl … for the others)
└── checkpoints/
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import InputError, output_error
from core.runs.files import make_folder, write_json, write_text
from core.runs.log import RunLog
from core.runs.provenance import provenance

INHERITED = "TRIPTYCH_RUN_DIR"  # how the processes that a trainer starts find the folder of the first one


class Run:
    """An open run folder. An existing folder is taken up again: log and checkpoints stay."""

    def __init__(self, path: Path, config_yaml: str = "", seed: int | None = None) -> None:
        self.path = make_folder(path)
        self.rank = process_rank()
        if self.rank == 0:
            write_text(self.path / "config.yaml", config_yaml)
            write_json(self.path / "provenance.json", provenance(seed, sys.argv))
        self.log = RunLog(self.path / (f"log.rank{self.rank}.jsonl" if self.rank else "log.jsonl"))

    @property
    def checkpoints_dir(self) -> Path:
        """Folder of checkpoints, made when first asked for."""
        return make_folder(self.path / "checkpoints")

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write metrics.json; only the first of several processes does."""
        if self.rank == 0:
            write_json(self.path / "metrics.json", dict(metrics))

    def close(self) -> None:
        """Close the log."""
        self.log.close()


def open_run(app: str, stage: str, run_dir: str | None, config_yaml: str, seed: int | None) -> Run:
    """Open `run_dir`, or a new folder below `runs/` named by the time in UTC.

    The folder's name goes to the environment, where child processes of the same run find it.
    """
    inherited = os.environ.get(INHERITED) if process_rank() else None
    if run_dir or inherited:
        path = Path(run_dir or inherited or "")
    elif process_rank() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("run_dir", "several processes need one run folder: add run_dir=FOLDER")
    else:
        path = _new_folder(records_of(app) / stage)
    run = Run(path, config_yaml, seed)
    os.environ[INHERITED] = str(path.absolute())
    return run


def records_of(app: str) -> Path:
    """Return the folder below the working directory where an app's runs are recorded unless run_dir= names another."""
    return Path("runs") / app


def process_rank() -> int:
    """Return this process's place among those of one run, as torchrun, SLURM or Lightning tell it."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 0


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
