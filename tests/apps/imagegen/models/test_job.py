from __future__ import annotations

import numpy as np
import pytest

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import Cancelled
from apps.imagegen.models.job import Job, preview_steps


@pytest.mark.parametrize(
    ("previews", "steps", "wanted"),
    [
        (0, 25, ()),
        (1, 25, (3,)),
        (2, 25, (3, 14)),
        (3, 25, (3, 10, 17)),
        (3, 100, (15, 43, 71)),
        (3, 4, (1, 2)),
        (3, 2, (1,)),
        (3, 1, ()),
        (10, 5, (1, 2, 3, 4)),
    ],
)
def test_previews_are_spread_and_the_first_is_early(
    previews: int, steps: int, wanted: tuple[int, ...]
) -> None:
    assert preview_steps(previews, steps) == wanted
    assert all(index < steps for index in wanted)
    if wanted and steps > 4:
        assert wanted[0] / steps < 0.25


def test_a_job_takes_a_row_more_for_guidance() -> None:
    assert [Job(Recipe("a", guidance=guidance)).rows for guidance in (0.0, 1.0, 1.01, 4.0)] == [1, 1, 2, 2]


def test_a_job_ends_once_and_lets_go_of_its_pictures() -> None:
    rgb_HWC = np.zeros((8, 8, 3), dtype=np.uint8)
    calls = []
    job = Job(Recipe("a"), image=rgb_HWC, mask=rgb_HWC[:, :, 0] > 0, on_cancel=lambda: calls.append(1))
    with pytest.raises(TimeoutError):
        job.result(0.001)
    assert not job.done()
    job.end(rgb_HWC, None)
    assert job.result() is rgb_HWC
    assert (job.image, job.mask) == (None, None)
    job.cancel()
    assert (job.cancelled, job.done(), calls) == (True, True, [1])
    failed = Job(Recipe("a"))
    failed.end(None, Cancelled("cancelled", "the picture was cancelled"))
    with pytest.raises(Cancelled):
        failed.result()
