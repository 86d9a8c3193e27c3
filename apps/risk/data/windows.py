"""Windows of a panel, cut out by one gather: the past of a series, what is known ahead, and what came.

All windows of a panel are numbered; which ones a training step takes depends on the seed and the step alone.
Legend: B windows, C steps of the past, H steps of the horizon, F features, T labels, K columns known in advance,
S statics, M static numbers, N entities, R rows of the panel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from apps.risk.data.panel import Panel
from core.data.stream import steps_of_worker


class Batch(NamedTuple):
    """Some windows. A value is 0 where its mask says that nothing is known: missing, or beyond the series' ends.

    past_BCF, past_known_BCF: features up to the origin, the last row at the end. length_B: how many of the C steps
    are rows of the series. ahead_BHK, ahead_known_BHK: what is known in advance. label_BHT, label_known_BHT: what
    came. code_BS, number_BM: statics. entity_B: number of the entity. origin_B: row of the first step ahead.
    """

    past_BCF: Tensor
    past_known_BCF: Tensor
    length_B: Tensor
    ahead_BHK: Tensor
    ahead_known_BHK: Tensor
    label_BHT: Tensor
    label_known_BHT: Tensor
    code_BS: Tensor
    number_BM: Tensor
    entity_B: Tensor
    origin_B: Tensor


class Windows:
    """The windows of a panel of which all H steps ahead lie in the past of the as-of date.

    context, horizon: C and H. shortest: rows that a window's past has at least; a shorter past than C is padded
    with nothing on the left. A series too short for one window has none; `latest` has one for each series.
    """

    def __init__(self, panel: Panel, context: int, horizon: int, *, shortest: int = 1) -> None:
        if context < 1 or horizon < 1 or not 0 <= shortest <= context:
            raise ValueError(
                f"wanted context and horizon of 1 or more, shortest from 0 to context; "
                f"got {context}, {horizon}, {shortest}"
            )
        self.panel, self.context, self.horizon = panel, context, horizon
        self.value_RF = torch.from_numpy(panel.value_RF)
        self.offset_N1 = torch.from_numpy(panel.offset_N1.astype(np.int64))
        self.code_NS, self.number_NM = torch.from_numpy(panel.code_NS), torch.from_numpy(panel.number_NM)
        self._first_N = panel.offset_N1[:-1] + shortest
        last_N = panel.offset_N1[:-1] + panel.past_N - horizon
        self._until_N = np.cumsum(np.maximum(last_N - self._first_N + 1, 0))

    def __len__(self) -> int:
        return int(self._until_N[-1]) if len(self._until_N) else 0

    def origins(self, number_B: np.ndarray) -> Tensor:
        """Return the rows at which windows number 0 … len - 1 begin to look ahead, (B,) int64."""
        entity_B = np.searchsorted(self._until_N, number_B, side="right")
        before_B = np.append(0, self._until_N)[entity_B]
        return torch.from_numpy(self._first_N[entity_B] + number_B - before_B)

    def latest(self) -> Batch:
        """Return for each entity the window that looks ahead from the as-of date; its labels are not known."""
        first_N = torch.from_numpy(self.panel.offset_N1[:-1] + self.panel.past_N)
        return self.gather(first_N, torch.arange(len(first_N)))

    def gather(self, origin_B: Tensor, entity_B: Tensor | None = None) -> Batch:
        """Cut windows out. entity_B: needed where an origin is the end of its series, by default found."""
        C, H = self.context, self.horizon
        if entity_B is None:
            entity_B = torch.searchsorted(self.offset_N1, origin_B, right=True) - 1
        length_B = (origin_B - self.offset_N1[entity_B]).clamp(max=C)
        left_B = self.offset_N1[entity_B + 1] - origin_B
        step_W = torch.arange(-C, H)
        inside_BW = (step_W >= -length_B[:, None]) & (step_W < left_B[:, None])
        value_BWF = stretch(self.value_RF, origin_B - C, C + H)
        known_BWF = torch.eq(value_BWF, value_BWF).logical_and_(inside_BW[:, :, None])  # NaN is not itself
        value_BWF = value_BWF.masked_fill_(~known_BWF, 0.0)
        labels = len(self.panel.columns.labels)
        ahead = value_BWF.shape[2] - len(self.panel.columns.known)
        return Batch(
            past_BCF=value_BWF[:, :C],
            past_known_BCF=known_BWF[:, :C],
            length_B=length_B,
            ahead_BHK=value_BWF[:, C:, ahead:],
            ahead_known_BHK=known_BWF[:, C:, ahead:],
            label_BHT=value_BWF[:, C:, :labels],
            label_known_BHT=known_BWF[:, C:, :labels],
            code_BS=self.code_NS[entity_B],
            number_BM=self.number_NM[entity_B],
            entity_B=entity_B,
            origin_B=origin_B,
        )


class WindowStream(IterableDataset[Any]):
    """An endless stream of batches of drawn windows that can go on anywhere; for a DataLoader(batch_size=None).

    Batch i depends on the seed and i alone: a run that resumes at step k sees what an unbroken one sees from step k
    on, with any number of workers. convert: makes of a Batch what a model takes. first_step: step to begin at.
    rank, world: this process among all.
    """

    def __init__(
        self,
        windows: Windows,
        batch_size: int,
        seed: int,
        *,
        convert: Callable[[Batch], Any] | None = None,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__()
        if not len(windows):
            raise ValueError("there is no window to draw: all series are shorter than shortest + horizon")
        self.windows, self.batch_size, self.seed, self.convert = windows, batch_size, seed, convert
        self.first_step, self.rank, self.world = first_step, rank, world

    def __iter__(self) -> Iterator[Any]:
        for step in steps_of_worker(self.first_step):
            first = (step * self.world + self.rank) * self.batch_size
            number_B = draw(self.seed, first, self.batch_size, len(self.windows))
            batch = self.windows.gather(self.windows.origins(number_B))
            yield batch if self.convert is None else self.convert(batch)


def draw(seed: int, first: int, size: int, count: int) -> np.ndarray:
    """Return draws number first … first + size - 1 of the numbers below `count`, (size,) int64, evenly likely.

    Counter-based (Philox; Salmon et al. 2011, doi:10.1145/2063384.2063405): draw i depends on seed and i alone.
    """
    skipped = first % 4  # one count of the counter gives four words
    words = np.random.Philox(key=seed).advance(first // 4).random_raw(skipped + size)[skipped:]
    return ((words >> np.uint64(11)) * (count * 2.0**-53)).astype(np.int64)


def stretch(value_RF: Tensor, first_B: Tensor, length: int) -> Tensor:
    """Return rows first … first + length - 1 for each of B positions, (B, length, F).

    Neighbouring rows lie together in memory: each window is one copy. Rows outside 0 … R - 1 are any other rows.
    """
    R, F = value_RF.shape
    if length > R:
        return _stretch_row_by_row(value_RF, first_B, length)
    runs = value_RF.as_strided((R - length + 1, length, F), (F, F, 1))
    inside_B = first_B.clamp(0, R - length)
    out = runs.index_select(0, inside_B)
    moved = (inside_B != first_B).nonzero()[:, 0]
    if len(moved):
        out[moved] = _stretch_row_by_row(value_RF, first_B[moved], length)
    return out


def _stretch_row_by_row(value_RF: Tensor, first_B: Tensor, length: int) -> Tensor:
    row_BL = (first_B[:, None] + torch.arange(length)).clamp(0, max(len(value_RF) - 1, 0))
    return value_RF[row_BL]
