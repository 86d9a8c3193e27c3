"""A progress bar on stderr; silent where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar tells how far it is; `total` where the items have no length.

    The description must not come from an input: it is shown as it is.
    """
    terminal = sys.__stderr__  # not sys.stderr, which is withheld while a stage runs: see core/silence.py
    if terminal is None or not terminal.isatty():
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=terminal), transient=True) as bar:
        yield from bar.track(items, total=total, description=description)
