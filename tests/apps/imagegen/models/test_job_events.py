from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import Cancelled
from apps.imagegen.models.job import Event, Job
from apps.imagegen.models.job_events import JobEvents
from core.errors import InternalFault

RGB_HWC = np.zeros((8, 8, 3), dtype=np.uint8)


def test_the_observer_hears_of_every_job_and_the_listener_of_its_own() -> None:
    every: list[Event] = []
    own: list[Event] = []
    events = JobEvents(every.append)
    mine, other = Job(Recipe("a"), on_event=own.append), Job(Recipe("b"))
    events.send(mine, "step", 1, 4)
    events.send(other, "step", 2, 4)
    assert [(event.job, event.kind, event.step, event.steps) for event in every] == [
        (mine, "step", 1, 4),
        (other, "step", 2, 4),
    ]
    assert own == every[:1]


def test_an_image_ends_its_job() -> None:
    heard: list[Event] = []
    job = Job(Recipe("a"), on_event=heard.append)
    assert JobEvents().finish(job, RGB_HWC, None, steps=4)
    assert job.result(0) is RGB_HWC
    assert [(event.kind, event.step) for event in heard] == [("done", 4)]


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (Cancelled("cancelled", "s"), "cancelled", "cancelled"),
        (InternalFault("picture_not_finite", "s"), "failed", "picture_not_finite"),
        (ValueError("secret prompt"), "failed", "drawing_failed"),
    ],
)
def test_an_error_ends_its_job(error: Exception, kind: str, code: str) -> None:
    heard: list[Event] = []
    job = Job(Recipe("a"), on_event=heard.append)
    assert not JobEvents().finish(job, None, error)
    assert [event.kind for event in heard] == [kind]
    with pytest.raises((Cancelled, InternalFault)) as caught:
        job.result(0)
    assert caught.value is heard[0].error
    assert caught.value.code == code
    assert "secret" not in caught.value.sentence


def test_an_observer_that_fails_disturbs_nobody_and_a_listener_fails_its_own_job() -> None:
    def broken(event: Event) -> None:
        raise ZeroDivisionError

    job = Job(Recipe("a"))
    assert JobEvents(broken).finish(job, RGB_HWC, None)
    assert job.result(0) is RGB_HWC
    deaf = Job(Recipe("a"), on_event=broken)
    assert not JobEvents().finish(deaf, RGB_HWC, None)
    with pytest.raises(ZeroDivisionError):
        deaf.result(0)
