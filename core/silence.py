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
    """Withhold what others would print; yield the count by "module". Our own sys.stderr keeps working."""
    counts: Counter[str] = Counter()
    with _logging(counts), _warnings(counts), _descriptor():
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
def _descriptor() -> Iterator[None]:
    """Point file descriptor 2 at nothing and sys.stderr at where it pointed before."""
    try:
        ours = sys.stderr.fileno() == 2
    except (AttributeError, OSError, ValueError):  # replaced by an object without a descriptor, as in a test
        ours = False
    if not ours:
        yield
        return
    before = sys.stderr
    before.flush()
    copy = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)
    sys.stderr = os.fdopen(
        copy, "w", encoding=before.encoding, errors="backslashreplace", buffering=1, closefd=False
    )
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before
        os.dup2(copy, 2)
        os.close(copy)


def module_of(filename: str) -> str:
    """Return the package that a source file belongs to: the part after site-packages, else the file's stem."""
    parts = Path(filename).parts
    if "site-packages" in parts[:-1]:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    return Path(filename).stem
