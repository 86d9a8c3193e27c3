"""The policy of the engine, stepped without a thread or a network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import EngineClosed, QueueFull
from apps.imagegen.models.batch_scheduler import BatchScheduler, Group
from apps.imagegen.models.job import Job
from apps.imagegen.models.throughput import Throughput

APPLE = Recipe("red apple", width=32, height=32, text_chunks=1)
WIDE = replace(APPLE, width=48)
SIZES = (4, 8)


@pytest.fixture
def scheduler() -> BatchScheduler:
    return BatchScheduler(20, Throughput())


def submit(scheduler: BatchScheduler, *recipes: Recipe) -> list[Job]:
    jobs = [Job(recipe) for recipe in recipes]
    for job in jobs:
        scheduler.add(job)
    return jobs


def step(scheduler: BatchScheduler, sizes: tuple[int, ...] = SIZES) -> list[Job]:
    """Take the scheduler's part of a step: free cancelled places, choose a group, admit; return its batch."""
    for job in scheduler.cancelled():
        scheduler.release(job)
    group = scheduler.next_group()
    if group is None:
        return []
    while scheduler.admit(group, sizes) is not None:
        pass
    return scheduler.running(group)


def test_jobs_join_a_batch_at_the_next_step(scheduler: BatchScheduler) -> None:
    (first,) = submit(scheduler, APPLE)
    assert step(scheduler) == [first]
    second, third = submit(scheduler, APPLE, APPLE)
    assert scheduler.busy() == (1, 2), "not before the step's boundary"
    assert step(scheduler) == [first, second, third]
    scheduler.release(second)
    assert step(scheduler) == [first, third]
    assert step(scheduler) == [first, third]


def test_a_batch_holds_as_many_rows_as_its_greatest_size_and_the_rest_waits(
    scheduler: BatchScheduler,
) -> None:
    jobs = submit(scheduler, *[APPLE] * 6)
    assert step(scheduler) == jobs[:4], "two rows each"
    assert scheduler.busy() == (4, 2)
    scheduler.release(jobs[1])
    assert step(scheduler) == [jobs[0], *jobs[2:5]]
    assert scheduler.busy() == (4, 1)


def test_a_job_without_guidance_takes_one_row(scheduler: BatchScheduler) -> None:
    submit(scheduler, *[replace(APPLE, guidance=1.0)] * 9)
    assert len(step(scheduler)) == 8


def test_the_oldest_begins_first_and_none_overtakes_it(scheduler: BatchScheduler) -> None:
    one_row = replace(APPLE, guidance=1.0)
    jobs = submit(scheduler, APPLE, APPLE, APPLE, one_row, APPLE, one_row)
    assert step(scheduler) == jobs[:4], "the sixth would fit, and waits behind the fifth"


def test_where_no_batch_is_proven_jobs_are_drawn_one_by_one(scheduler: BatchScheduler) -> None:
    first, second = submit(scheduler, APPLE, APPLE)
    assert step(scheduler, ()) == [first]
    assert step(scheduler, ()) == [first]
    scheduler.release(first)
    assert step(scheduler, ()) == [second]


def test_groups_take_turns_whatever_their_length(scheduler: BatchScheduler) -> None:
    submit(scheduler, *[APPLE] * 10, WIDE)
    turns = [step(scheduler)[0].recipe.width for _ in range(6)]
    assert turns == [32, 48] * 3


def test_a_group_that_comes_later_waits_one_turn_of_the_others(scheduler: BatchScheduler) -> None:
    submit(scheduler, APPLE, WIDE)
    step(scheduler)
    step(scheduler)
    submit(scheduler, replace(APPLE, height=48))
    sizes = [(job.recipe.width, job.recipe.height) for job in (step(scheduler)[0] for _ in range(3))]
    assert sizes == [(32, 32), (48, 32), (32, 48)]


def test_a_cancelled_job_that_runs_frees_its_place_at_the_next_step(scheduler: BatchScheduler) -> None:
    jobs = submit(scheduler, *[APPLE] * 5)
    assert step(scheduler) == jobs[:4]
    jobs[2].cancel()
    assert scheduler.cancelled() == [jobs[2]]
    assert step(scheduler) == [jobs[0], jobs[1], jobs[3], jobs[4]]
    assert scheduler.busy() == (4, 0)


def test_a_cancelled_job_that_waits_never_begins(scheduler: BatchScheduler) -> None:
    first, second = submit(scheduler, APPLE, APPLE)
    first.cancel()
    group = scheduler.next_group()
    assert group is not None
    assert scheduler.admit(group, SIZES) is second, "even where its place is not free yet"
    assert step(scheduler) == [second]
    assert scheduler.jobs() == [second]


def test_a_full_queue_refuses_until_one_begins() -> None:
    now = [0.0]
    throughput = Throughput(lambda: now[0])
    scheduler = BatchScheduler(4, throughput)
    now[0] = 3.0
    throughput.finished(0.0)
    submit(scheduler, *[APPLE] * 4)
    with pytest.raises(QueueFull, match="4 pictures wait already: try again in 6 s") as caught:
        scheduler.add(Job(APPLE))
    assert (caught.value.code, caught.value.retry_after_s) == ("queue_full", 6.0)
    assert len(step(scheduler, (4,))) == 2
    assert len(submit(scheduler, APPLE, APPLE)) == 2
    with pytest.raises(QueueFull):
        scheduler.add(Job(APPLE))


def test_a_closed_scheduler_takes_none_and_is_drained_after_the_last(scheduler: BatchScheduler) -> None:
    (job,) = submit(scheduler, APPLE)
    scheduler.close()
    with pytest.raises(EngineClosed, match="the engine is closing"):
        scheduler.add(Job(APPLE))
    assert not scheduler.drained()
    assert step(scheduler) == [job]
    scheduler.release(job)
    assert scheduler.drained()
    assert step(scheduler) == []


def test_an_open_scheduler_without_jobs_is_not_drained(scheduler: BatchScheduler) -> None:
    assert not scheduler.drained()
    assert step(scheduler) == []


def test_groups_are_by_size_text_and_adapter() -> None:
    clay = replace(APPLE, adapter="clay", adapter_digest="d" * 64)
    different = [
        APPLE, WIDE, replace(APPLE, height=48), replace(APPLE, text_chunks=2), clay,
        replace(clay, adapter_scale=0.5), replace(clay, adapter_digest="e" * 64),
    ]  # fmt: skip
    assert len({Group.of(recipe) for recipe in different}) == len(different)
    alike = [
        replace(APPLE, seed=2, steps=3, guidance=1.0, scheduler="euler"),
        replace(APPLE, adapter_scale=0.5),
    ]
    assert {Group.of(recipe) for recipe in alike} == {Group.of(APPLE)}


def test_members_are_those_that_run_and_those_that_wait(scheduler: BatchScheduler) -> None:
    jobs = submit(scheduler, *[APPLE] * 5, WIDE)
    step(scheduler)
    assert scheduler.members(Group.of(APPLE)) == jobs[:5]
    assert Counter(Group.of(job.recipe).width for job in scheduler.jobs()) == {32: 5, 48: 1}
