"""Which entities belong together: by a column of the table alone, never by memory settings or their number.

Legend: N entities, G groups of one size, V entities of a group.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.risk.data.panel import ALONE, Panel, part, take
from apps.risk.reasons import INPUTS

MOST = 1000  # entities of one group: what a network holds of it in memory grows with its square


def together(group_N: np.ndarray | None, entities: int) -> list[np.ndarray]:
    """Return the members of all groups, an array (G, V) for each size V that occurs; an entity alone is a group of one.

    Members in their order. Raises InputError, group_too_large, for one of more than MOST.
    """
    unit_N = _units(group_N, entities)
    order_N = np.argsort(unit_N, kind="stable")
    first_U = np.flatnonzero(np.append(True, np.diff(unit_N[order_N]) != 0))
    size_U = np.diff(np.append(first_U, entities))
    if size_U.max() > MOST:
        raise INPUTS("group_too_large", size=size_U.max(), most=MOST)
    return [
        order_N[first_U[size_U == size][:, None] + np.arange(size)] for size in np.unique(size_U).tolist()
    ]


def slices(panel: Panel, chunk: int) -> Iterator[Panel]:
    """Yield a panel in parts of `chunk` entities or, where a group has more, of that whole group: none is split."""
    count = len(panel.entities)
    if panel.group_N is None:
        for first in range(0, count, chunk):
            yield part(panel, first, min(first + chunk, count))
        return
    unit_N = _units(panel.group_N, count)
    parts, filled = 0, 0
    unit_U, number_N, size_U = np.unique(unit_N, return_inverse=True, return_counts=True)
    part_U = np.zeros(len(unit_U), dtype=np.int64)
    for unit, size in enumerate(size_U.tolist()):
        if filled and filled + size > chunk:
            parts, filled = parts + 1, 0
        part_U[unit], filled = parts, filled + size
    part_N = part_U[number_N]
    for number in range(parts + 1):
        yield take(panel, part_N == number)


def _units(group_N: np.ndarray | None, entities: int) -> np.ndarray:
    """Return of each entity the first one of its group, itself where it is alone, (N,)."""
    own_N = np.arange(entities)
    if group_N is None:
        return own_N
    _, first_K, number_N = np.unique(group_N, return_index=True, return_inverse=True)
    return np.where(group_N == ALONE, own_N, first_K[number_N])
