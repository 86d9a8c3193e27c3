"""Keep Lightning's advice off the terminal: it repeats with every run, and our log says what happens."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

from lightning.fabric.utilities.warnings import PossibleUserWarning

LOGGERS = ("lightning.fabric", "lightning.pytorch")


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Withhold its tips, its list of absent hardware and its guesses about the loader; true warnings still come."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PossibleUserWarning)
            # a resumed run finds its own checkpoints
            warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty", UserWarning)
            # and so does one whose folder was moved
            warnings.filterwarnings("ignore", r"The dirpath has changed from", UserWarning)
            # Lightning 2.6 with torch 2.13: lightning/pytorch/utilities/_pytree.py
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
