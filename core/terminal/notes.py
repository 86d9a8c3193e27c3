"""One line for whoever watches the terminal, while what third parties print is withheld (core/terminal/silence.py)."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path


def print_note(sentence: str) -> None:
    """Print a sentence as one line, "note: …", on stderr; where nobody reads it the work goes on.

    Values of an input are quoted by whoever writes the sentence: see `core.text.quoting`.
    """
    # not sys.stderr, which is withheld while a stage runs: see core/terminal/silence.py
    terminal = sys.__stderr__
    if terminal is not None:
        with contextlib.suppress(OSError, ValueError):  # a closed pipe, a closed file
            print("note:", " ".join(sentence.split()), file=terminal, flush=True)


def print_set_aside(
    what: str, total: int, reasons: Sequence[tuple[str, str]], listed_in: Path, verb: str = "were set aside"
) -> None:
    """Print how many of `total` things have no result, why, and where they are listed; nothing where all have one.

    what: their name in the plural. reasons: (code, sentence) of each that has none.
    """
    if reasons:
        why = commonest(reasons)
        print_note(f"{len(reasons)} of {total} {what} {verb}, {why}; all are listed in {listed_in}")


def commonest(reasons: Iterable[tuple[str, str]]) -> str:
    """Return the commonest of (code, sentence): "all because …" or "2 of them because …", with the code."""
    reasons = list(reasons)
    code, count = Counter(code for code, _ in reasons).most_common(1)[0]
    sentence = next(sentence for one, sentence in reasons if one == code).removesuffix(".")
    sentence = sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]
    return f"{'all' if count == len(reasons) else f'{count} of them'} because {sentence} ({code})"
