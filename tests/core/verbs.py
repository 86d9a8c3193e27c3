"""Verbs that do what a test of the frame needs: succeed, refuse, break, shout."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from core.errors import InputError, InternalFault, ItemRefused
from core.runs.files import write_text
from core.runs.folder import Run
from core.terminal.progress import progress

CANARY = "DOE^JANE-19700101"


def done(config: Any, run: Run) -> int:
    run.log.event("ran", seed=config.seed)
    run.write_metrics({"seed": config.seed})
    return 0


def quarantined(config: Any, run: Run) -> int:
    return 4


def bad_input(config: Any, run: Run) -> int:
    raise InputError("input_missing", "input does not exist")


def refused(config: Any, run: Run) -> int:
    raise ItemRefused("truncated", "the only file is cut short")


def broken(config: Any, run: Run) -> int:
    raise KeyError(CANARY)


def defect(config: Any, run: Run) -> int:
    raise InternalFault("wrong", f"a check failed on {CANARY}")


def nothing(config: Any, run: Run) -> Any:
    return None


def interrupted(config: Any, run: Run) -> int:
    raise KeyboardInterrupt


def ctrl_c(config: Any, run: Run) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
    return 0


def terminated(config: Any, run: Run) -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    return 0


def leaving(config: Any, run: Run) -> int:
    sys.exit(1)


def full_disk(config: Any, run: Run) -> int:
    raise OSError(errno.ENOSPC, "No space left on device", str(Path(config.output) / CANARY / "seg.dcm"))


def fill_disk(config: Any, run: Run) -> int:
    for index in range(1000):
        write_text(Path(config.output) / CANARY / f"{index}.txt", "x" * 4096)
    return 0


def write_below_file(config: Any, run: Run) -> int:
    write_text(Path(config.output) / CANARY / "nodules.csv", "x")
    return 0


def unreadable(config: Any, run: Run) -> int:
    raise PermissionError(errno.EACCES, "Permission denied", CANARY)


def loud(config: Any, run: Run) -> int:
    """Print patient data in every way that a library might."""
    logging.getLogger("pydicom").warning("value %s is odd", CANARY)
    shouting = logging.getLogger("shouting.deep")
    shouting.addHandler(logging.StreamHandler())
    shouting.error(CANARY)
    logging.getLogger("quiet").info(CANARY)
    warnings.warn(f"bad date {CANARY}", stacklevel=1)
    os.write(2, CANARY.encode())
    for _ in progress(range(2), "working"):
        pass
    return 0


def by_seed(config: Any, run: Run) -> int:
    """Return the seed as the exit code; 3 is a fault."""
    if config.seed == 3:
        raise ValueError
    return int(config.seed)
