"""Keep third-party words off the terminal and out of the log: they may quote patient data.

pydicom's warnings quote values, C++ readers print file names. So log records, warnings and whatever is written to
file descriptor 2 are withheld while a stage runs; only their number by module is kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def silenced() -> Iterator[Counter[str]]:
    """Withhold what others would print; yield the count by module. sys.__stderr__ still works: for our own lines."""
    counts: Counter[str] = Counter()
    with _logging(counts), _warnings(counts), _stderr():
        yield counts


@contextlib.contextmanager
def _logging(counts: Counter[str]) -> Iterator[None]:
    """Count log records and blank them; detach handlers, so that not even the blanks are printed."""
    factory = logging.getLogRecordFactory()

    def blank(name: str, level: int, path: str, line: int, *_: Any, **__: Any) -> logging.LogRecord:
        if level >= logging.WARNING:
            counts[name.partition(".")[0]] += 1
        return factory(name, level, path, line, "withheld", (), None)

    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    kept = [(logger, logger.handlers) for logger in loggers if isinstance(logger, logging.Logger)]
    for logger, _ in kept:
        logger.handlers = []
    # A handler on the root keeps Python's last resort, and libraries that look for one, from printing.
    logging.getLogger().handlers = [logging.NullHandler()]
    logging.setLogRecordFactory(blank)
    try:
        yield
    finally:
        logging.setLogRecordFactory(factory)
        for logger, handlers in kept:
            logger.handlers = handlers


@contextlib.contextmanager
def _warnings(counts: Counter[str]) -> Iterator[None]:
    """Count warnings instead of showing them; the filters stay, so tests may still turn them into errors."""

    def count(_: Warning | str, __: type[Warning], filename: str, *___: Any) -> None:
        counts[module_of(filename)] += 1

    with warnings.catch_warnings():
        warnings.showwarning = count  # type: ignore[assignment]
        yield


@contextlib.contextmanager
def _stderr() -> Iterator[None]:
    """Point sys.stderr and file descriptor 2 at nothing; sys.__stderr__ goes on to where descriptor 2 led.

    Both are needed: a thread that dies prints its traceback through the first, C code writes to the second.
    """
    before, original = sys.stderr, sys.__stderr__
    copy = os.dup(2)
    try:
        with (
            open(os.devnull, "w", encoding="utf-8") as nothing,
            os.fdopen(copy, "w", encoding="utf-8", errors="backslashreplace", buffering=1) as terminal,
        ):
            if before is not None:
                before.flush()
            os.dup2(nothing.fileno(), 2)
            sys.stderr, sys.__stderr__ = nothing, terminal  # type: ignore[misc]
            try:
                yield
            finally:
                sys.stderr, sys.__stderr__ = before, original  # type: ignore[misc]
                terminal.flush()
                os.dup2(copy, 2)
    except BrokenPipeError:
        pass


def module_of(filename: str) -> str:
    """Return the package that a source file belongs to: the part after site-packages, else the file's stem."""
    parts = Path(filename).parts
    if "site-packages" in parts[:-1]:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return Path(filename).stem
