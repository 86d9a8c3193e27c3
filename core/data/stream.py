"""An endless stream of samples that can be resumed anywhere: sample i depends on the seed and i alone.

A run that resumes at step k sees just the samples that an unbroken run sees from step k on, with any number of
workers. (Lightning's own mid-epoch resume starts its loader again from the first sample.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from core.runs.stop import ignore_signals


@runtime_checkable
class BatchSource(Protocol):
    """Something that makes whole batches, where that is cheaper than one sample after another."""

    def stream(
        self, seed: int, batch_size: int, first_step: int, rank: int, world: int
    ) -> IterableDataset[Any]:
        """Return an endless stream of the batches of one rank, from step `first_step` on.

        Batch of step k depends on seed, batch_size, rank, world and k alone, with any number of workers: the stream
        takes its steps from `steps_of_worker`.
        """


class SampleStream(IterableDataset[Any]):
    """Yields make(generator) for sample after sample, each with a generator of its own.

    batch_size: samples of one rank in one step. first_step: step to begin at. rank, world: this process among all.
    """

    def __init__(
        self,
        make: Callable[[np.random.Generator], Any],
        seed: int,
        batch_size: int,
        first_step: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        super().__init__()
        self.make, self.seed, self.batch_size = make, seed, batch_size
        self.first_step, self.rank, self.world = first_step, rank, world

    def __iter__(self) -> Iterator[Any]:
        for step in steps_of_worker(self.first_step):
            first = (step * self.world + self.rank) * self.batch_size
            for index in range(first, first + self.batch_size):
                yield self.make(np.random.default_rng([self.seed, index]))


def steps_of_worker(first_step: int) -> Iterator[int]:
    """Yield, without end, the steps whose batches this process makes: a loader takes them from its workers in turn."""
    worker = get_worker_info()
    return count(first_step) if worker is None else count(first_step + worker.id, worker.num_workers)


def stream_loader(stream: IterableDataset[Any], workers: int) -> DataLoader[Any]:
    """Return a loader of a stream's batches; `workers` processes prepare them ahead, each with one thread.

    Samples of a SampleStream are put together; what another stream yields is a batch already.
    """
    return DataLoader(
        stream,
        batch_size=stream.batch_size if isinstance(stream, SampleStream) else None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_prepare_worker if workers else None,
    )


def _prepare_worker(_: int) -> None:
    torch.set_num_threads(1)
    ignore_signals()  # sent to the whole group of processes: the training ends after its step, and its workers then
