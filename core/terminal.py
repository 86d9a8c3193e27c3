"""One line for whoever watches the terminal, while what third parties print is withheld (core.silence)."""

from __future__ import annotations

import sys


def print_note(sentence: str) -> None:
    """Print a sentence as one line on stderr; where there is no stderr, nothing."""
    stream = sys.__stderr__ or sys.stderr
    if stream is not None:
        print(" ".join(sentence.split()), file=stream, flush=True)
