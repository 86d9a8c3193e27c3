"""What riskformer is pretrained on: generated series with many futures each, and real ones that end before a date.

Batch number i depends on the seed and i alone. The real part is what is at hand: markets of the package arch always,
twenty stocks, exchange rates and M4's hourly series where they are installed.
Legend: B series, C steps of the past, H steps ahead, K futures, N assets, T days, G groups, M members of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from apps.risk.data.kernel_series import kernel_bank, kernel_series
from apps.risk.data.samples import Sample, load_sample
from apps.risk.data.simulated_returns import simulated_returns
from core.data.stream import steps_of_worker
from core.errors import InputError

UNTIL = "2008-01-01"  # real returns from then on are kept for choosing (five years) and for judging
LONG = 48  # steps ahead of levels and seasons
KERNELS = 64
MEMBERS = 8
PRETRAIN = {"simulated": 0.5, "kernels": 0.15, "returns": 0.2, "hourly": 0.1, "rates": 0.05}
OWN = {
    "own": 0.7,
    "simulated": 0.2,
    "kernels": 0.1,
}  # a table of one's own, and what keeps the rest from being lost
FINETUNE = {"simulated": 0.4, "returns": 0.5, "kernels": 0.03, "hourly": 0.05, "rates": 0.02}
_LEVELS = 0.12  # share of simulated groups that are summed up to levels
_SHORT, _GAPS, _ALONE = 0.2, 0.1, 0.5  # shares of series cut short, with gaps, and of groups split


class TrainingSamples(NamedTuple):
    """past_BC, known_BC; what came: label_BKH, with counts_BKH where it is known; group_B: which are related."""

    past_BC: Tensor
    known_BC: Tensor
    label_BKH: Tensor
    counts_BKH: Tensor
    group_B: Tensor


@dataclass(frozen=True, eq=False)
class Material:
    """Real series, float64, NaN where nothing is known.

    returns_NT, own_NT: on one calendar; the first are returns, of which portfolios and sums over days are made, the
    second, a table of the user's, is taken as it is. levels: by name, each (T,).
    """

    returns_NT: np.ndarray
    levels: dict[str, list[np.ndarray]] = field(default_factory=dict)
    own_NT: np.ndarray | None = None


def load_material(until: str = UNTIL) -> tuple[Material, list[str]]:
    """Return the real series before a date, and the names of the samples that are not at hand.

    Series without true dates (M4, exchange rates) end where their publishers' test parts begin.
    """
    parts: dict[str, Sample] = {}
    missing = []
    for name in ("markets", "stocks", "m4_hourly", "exchange_rate"):
        try:
            parts[name] = load_sample(name)
        except InputError:
            missing.append(name)
    tables = [
        parts[name].table.pivot(index="date", columns="asset", values="return")
        for name in ("markets", "stocks")
        if name in parts
    ]
    returns = tables[0].join(tables[1:], how="outer").loc[:until]
    levels: dict[str, list[np.ndarray]] = {}
    if "m4_hourly" in parts:
        levels["hourly"] = _series(parts["m4_hourly"], hold_out=LONG)
    if "exchange_rate" in parts:
        levels["rates"] = _series(parts["exchange_rate"], share=0.7)
    return Material(returns.to_numpy().T, levels), missing


class Mixture:
    """A source of training batches. shares: of the sources of PRETRAIN; without material, simulated."""

    def __init__(
        self,
        material: Material,
        shares: dict[str, float],
        context: int,
        ahead: int,
        futures: int = 16,
        seed: int = 0,
    ) -> None:
        self.material, self.context, self.ahead, self.futures = material, context, ahead, futures
        self.bank_ETT = kernel_bank(seed, KERNELS, context + LONG)
        makers: dict[str, Callable[[np.random.Generator, int], TrainingSamples]] = {
            "simulated": self._simulated,
            "kernels": self._kernels,
            "returns": partial(self._calendar, material.returns_NT, mixed=True),
            **{name: partial(self._levels, series) for name, series in material.levels.items()},
        }
        if material.own_NT is not None:
            makers["own"] = partial(self._calendar, material.own_NT, mixed=False)
        self._makers = [(share, makers.get(name, self._simulated)) for name, share in shares.items()]

    def stream(self, seed: int, batch_size: int, first_step: int, rank: int, world: int) -> MixtureStream:
        """Return the endless stream of one process."""
        return MixtureStream(self, seed, batch_size, first_step, rank, world)

    def samples(self, seed: int, number: int, size: int) -> TrainingSamples:
        """Return batch `number`, of `size` series; of a number that is no multiple of MEMBERS the last group is cut."""
        draw = np.random.default_rng([seed, number])
        until = np.cumsum([share for share, _ in self._makers])
        _, make = self._makers[int(np.searchsorted(until, draw.uniform() * until[-1], side="right"))]
        whole = -(-size // MEMBERS) * MEMBERS
        samples = _worn(draw, make(draw, whole))
        return samples if size == whole else _first(samples, size)

    def _simulated(self, draw: np.random.Generator, size: int) -> TrainingSamples:
        groups = size // MEMBERS
        past, future = simulated_returns(draw, groups, MEMBERS, self.context, self.ahead, self.futures)
        summed = draw.uniform(size=groups) < _LEVELS
        past[summed] = past[summed].cumsum(axis=-1)
        future[summed] = past[summed][:, :, None, -1:] + future[summed].cumsum(axis=-1)
        return _samples(past.reshape(size, -1), future.reshape(size, self.futures, -1), _groups(draw, size))

    def _kernels(self, draw: np.random.Generator, size: int) -> TrainingSamples:
        past_BC, future_BKH = kernel_series(draw, self.bank_ETT, size, LONG, self.futures)
        return _samples(past_BC, future_BKH, np.arange(size))

    def _calendar(
        self, value_NT: np.ndarray, draw: np.random.Generator, size: int, *, mixed: bool
    ) -> TrainingSamples:
        """Series of the same days. mixed: half of them portfolios, some over two days or a week a step."""
        T = value_NT.shape[1]
        rows = []
        for _ in range(size // MEMBERS):
            days = int(draw.choice([1, 1, 1, 1, 2, 5])) if mixed else 1
            length = min((self.context + self.ahead) * days, T // days * days)
            first = int(draw.integers(T - length + 1))
            window_NT = value_NT[:, first : first + length]
            window_NT = window_NT.reshape(len(window_NT), -1, days).sum(axis=-1)
            known_N = np.isfinite(window_NT).mean(axis=1)
            there = np.flatnonzero(known_N > (0.9 if known_N.max() > 0.9 else 0.5 * known_N.max()))
            picked = window_NT[draw.choice(there, size=MEMBERS)]
            for member in np.flatnonzero(draw.uniform(size=MEMBERS) < (0.5 if mixed else 0.0)):
                some = draw.choice(there, size=int(draw.integers(2, 12)))
                weight = draw.dirichlet(np.ones(len(some)))
                picked[member] = weight @ window_NT[some]
            full = np.full((MEMBERS, self.context + self.ahead), np.nan)
            full[:, -picked.shape[1] :] = picked
            rows.append(full)
        return _cut(np.concatenate(rows), self.ahead, _groups(draw, size))

    def _levels(self, series: list[np.ndarray], draw: np.random.Generator, size: int) -> TrainingSamples:
        """Series of levels from any position; a quarter of them as changes from step to step."""
        rows = np.full((size, self.context + LONG), np.nan)
        for row, number in zip(rows, draw.integers(len(series), size=size), strict=True):
            value = series[number]
            end = int(draw.integers(min(2 * LONG, len(value)), len(value) + 1))
            taken = value[max(end - len(row), 0) : end]
            if draw.uniform() < 0.25:
                taken = np.diff(taken)
            row[-len(taken) :] = taken
        return _cut(rows, LONG, np.arange(size))


class MixtureStream(IterableDataset[Any]):
    """Batches of a mixture from a step on."""

    def __init__(
        self, mixture: Mixture, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> None:
        super().__init__()
        self.mixture, self.seed, self.batch_size = mixture, seed, batch_size
        self.first_step, self.rank, self.world = first_step, rank, world

    def __iter__(self) -> Iterator[TrainingSamples]:
        for step in steps_of_worker(self.first_step):
            yield self.mixture.samples(self.seed, step * self.world + self.rank, self.batch_size)


def _first(samples: TrainingSamples, size: int) -> TrainingSamples:
    """Return the first series of a batch, their groups numbered anew."""
    cut = TrainingSamples(*(part[:size] for part in samples))
    return cut._replace(group_B=torch.unique(cut.group_B, return_inverse=True)[1])


def _series(sample: Sample, hold_out: int = 0, share: float = 1.0) -> list[np.ndarray]:
    columns = sample.columns
    groups = sample.table.groupby(columns.entity, sort=True)[columns.targets[0]]
    values = [group.to_numpy(dtype=np.float64) for _, group in groups]
    return [value[: int(len(value) * share) - hold_out] for value in values]


def _groups(draw: np.random.Generator, size: int) -> np.ndarray:
    """Return groups of MEMBERS; a share of them split into single series."""
    group_B = np.arange(size) // MEMBERS
    alone_B = np.repeat(draw.uniform(size=size // MEMBERS) < _ALONE, MEMBERS)
    return np.where(alone_B, size + np.arange(size), group_B)


def _cut(row_BT: np.ndarray, ahead: int, group_B: np.ndarray) -> TrainingSamples:
    return _samples(row_BT[:, :-ahead], row_BT[:, None, -ahead:], group_B)


def _samples(past_BC: np.ndarray, label_BKH: np.ndarray, group_B: np.ndarray) -> TrainingSamples:
    known_BC, counts_BKH = np.isfinite(past_BC), np.isfinite(label_BKH)
    number_B = np.unique(group_B, return_inverse=True)[1]
    return TrainingSamples(
        torch.from_numpy(np.where(known_BC, past_BC, 0.0)),
        torch.from_numpy(known_BC),
        torch.from_numpy(np.where(counts_BKH, label_BKH, 0.0)),
        torch.from_numpy(counts_BKH),
        torch.from_numpy(number_B.astype(np.int64)),
    )


def _worn(draw: np.random.Generator, samples: TrainingSamples) -> TrainingSamples:
    """Make some pasts short, and some full of gaps, as real tables are."""
    B, C = samples.past_BC.shape
    length_B = np.where(draw.uniform(size=B) < _SHORT, draw.integers(8, C + 1, size=B), C)
    kept_BC = np.arange(C) >= C - length_B[:, None]
    share_B = np.where(draw.uniform(size=B) < _GAPS, draw.uniform(0.0, 0.3, size=B), 0.0)
    kept_BC &= draw.uniform(size=(B, C)) >= share_B[:, None]
    return samples._replace(known_BC=samples.known_BC & torch.from_numpy(kept_BC))
