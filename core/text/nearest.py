"""Name the valid name nearest to one that is not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 8  # choices that a message names


def nearest(name: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the choice most like a name, capitals or not; None where none is like it.

    cutoff: likeness from 0 (take the best, however unlike) to 1 (the same), as `difflib` measures it.
    """
    lower = {choice.lower(): choice for choice in reversed(list(choices))}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=cutoff)
    return lower[close[0]] if close else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return 'did you mean "…"?' with the nearest choice, or the choices there are."""
    options = list(choices)
    like = nearest(name, options)
    if like is not None:
        return f'did you mean "{like}"?'
    if not options:
        return "there is none at all"
    return f"there are {', '.join(options[:_LISTED])}{', …' if len(options) > _LISTED else ''}"
