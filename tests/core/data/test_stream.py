from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from core.data.stream import BatchSource, SampleStream, stream_loader
from tests.core.training.toy import Batches

pytestmark = pytest.mark.slow


def draw(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**62, 2)


def batches(count: int, workers: int = 0, **fields: int) -> list[torch.Tensor]:
    stream = SampleStream(draw, **{"seed": 5, "batch_size": 3, **fields})
    loader = iter(stream_loader(stream, workers))
    result = list(itertools.islice(loader, count))
    del loader  # ends the workers
    assert len(result) == count
    return result


def plain(count: int, seed: int = 5) -> np.ndarray:
    """The first samples by the definition: sample i comes from generator [seed, i]."""
    return np.stack([draw(np.random.default_rng([seed, i])) for i in range(count)])


def test_sample_i_depends_on_the_seed_and_i_alone() -> None:
    assert np.array_equal(torch.cat(batches(4)).numpy(), plain(12))
    assert np.array_equal(torch.cat(batches(2, batch_size=6)).numpy(), plain(12))
    assert np.array_equal(torch.cat(batches(4, seed=6)).numpy(), plain(12, seed=6))
    assert len(np.unique(plain(12))) == 24


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("first_step", [0, 3])
def test_workers_change_nothing(workers: int, first_step: int) -> None:
    wanted = batches(5, first_step=first_step)
    result = batches(5, workers, first_step=first_step)
    assert all(torch.equal(a, b) for a, b in zip(wanted, result, strict=True))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_a_start_at_step_k_gives_the_tail_of_an_unbroken_run(k: int) -> None:
    whole, tail = batches(7), batches(7 - k, first_step=k)
    assert all(torch.equal(a, b) for a, b in zip(whole[k:], tail, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_each_step_without_overlap(world: int) -> None:
    ranks = [batches(4, rank=rank, world=world) for rank in range(world)]
    steps = [torch.cat(step) for step in zip(*ranks, strict=True)]
    assert np.array_equal(torch.cat(steps).numpy(), plain(4 * 3 * world))
    # what several ranks see in a step is what one process with the whole batch sees in it
    alone = batches(4, batch_size=3 * world)
    assert all(torch.equal(a, b) for a, b in zip(steps, alone, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_yields_batches_is_not_put_together_again(workers: int) -> None:
    source = Batches()
    assert isinstance(source, BatchSource)
    assert not isinstance(draw, BatchSource)
    loader = iter(stream_loader(source.stream(5, 3, 2, 0, 1), workers))
    result = list(itertools.islice(loader, 4))
    del loader
    for step, (x, _) in enumerate(result, start=2):
        wanted = np.random.default_rng([5, step]).normal(size=(3, 4)).astype(np.float32)
        assert np.array_equal(x.numpy(), wanted)


def test_a_worker_computes_with_one_thread() -> None:
    def threads(_: np.random.Generator) -> int:
        return torch.get_num_threads()

    loader = iter(stream_loader(SampleStream(threads, seed=0, batch_size=2), workers=1))
    assert next(loader).tolist() == [1, 1]
    del loader
