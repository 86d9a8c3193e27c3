"""A progress bar on stderr; silent where stderr is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")


def progress_bar() -> Progress | None:
    """Return a bar that is not shown yet; None where nobody watches, since stderr is not a terminal."""
    # not sys.stderr, which is withheld while a stage runs: see core/terminal/silence.py
    terminal = sys.__stderr__
    if terminal is None or not terminal.isatty():
        return None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(file=terminal), transient=True)


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield the items while a bar shows how far it is; `total` where the items have no length.

    The description must not come from an input: it is shown as it is.
    """
    bar = progress_bar()
    if bar is None:
        yield from items
        return
    with bar:
        yield from bar.track(items, total=total, description=description)
