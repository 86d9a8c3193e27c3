"""One line for whoever runs a command, beside its results: what was left out, changed or assumed, and why."""

from __future__ import annotations

import contextlib
import sys


def notice(sentence: str) -> None:
    """Print a line to stderr. The sentence is printed as it is: quote values of an input as `ascii` does."""
    terminal = sys.__stderr__  # not sys.stderr, which is withheld while a stage runs: see core/silence.py
    if terminal is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it: the work goes on
            print(f"note: {sentence}", file=terminal, flush=True)
