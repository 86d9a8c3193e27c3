from __future__ import annotations

import pytest

from apps.imagegen.models.throughput import Throughput


def test_the_mean_follows_the_newest_images_and_idle_time_does_not_count() -> None:
    now = [0.0]
    throughput = Throughput(lambda: now[0])
    assert throughput.seconds_for(3) == 3.0, "a second each where nothing is known"
    now[0] = 104.0
    throughput.finished(submitted=100.0)
    assert throughput.seconds_for(3) == pytest.approx(12.0)
    now[0] = 113.0
    throughput.finished(submitted=100.0)
    assert throughput.seconds_for(1) == pytest.approx(4.0 + 0.2 * (9.0 - 4.0))


def test_a_wait_is_at_least_a_second() -> None:
    now = [0.0]
    throughput = Throughput(lambda: now[0])
    now[0] = 0.01
    throughput.finished(submitted=0.0)
    assert throughput.seconds_for(2) == 1.0
