"""Seeds of the parts of a run: one rule, that no seed of the allowed range leads out of it."""

from __future__ import annotations

SEEDS = 2**32  # NumPy's legacy generator and Lightning take seeds below it


def seed_of(seed: int, number: int, count: int = SEEDS) -> int:
    """Return the seed of part `number` of a run: so much further on, and 0 comes after count - 1.

    >>> seed_of(7, 2), seed_of(2**32 - 1, 1)
    (9, 0)
    """
    return (seed + number) % count
