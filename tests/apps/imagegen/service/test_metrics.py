"""Counts of the engine's events."""

from __future__ import annotations

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.job import Event, Job, Kind
from apps.imagegen.service.metrics import EngineMetrics
from core.serving.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float:
    result = metrics.registry.get_sample_value(name, labels)
    assert result is not None
    return result


def test_steps_pictures_seconds_and_rows_are_counted() -> None:
    metrics = Metrics()
    counts = EngineMetrics(metrics, rows=16)
    guided, plain = Job(Recipe(prompt="a")), Job(Recipe(prompt="b", guidance=1.0))

    def tell(job: Job, kind: Kind, seconds: float = 0.0) -> None:
        counts.observe(Event(job, kind, 0, 2, seconds))

    tell(guided, "started", 0.2)
    tell(plain, "started", 0.3)
    assert value(metrics, "imagegen_batch_fill") == 3 / 16
    for kind in ("step", "preview", "step"):
        tell(guided, kind)
    tell(guided, "done", 1.5)
    assert value(metrics, "imagegen_batch_fill") == 1 / 16
    tell(plain, "cancelled", 9.0)
    assert value(metrics, "imagegen_batch_fill") == 0
    assert value(metrics, "imagegen_steps_total") == 2
    assert value(metrics, "imagegen_pictures_total", end="done") == 1
    assert value(metrics, "imagegen_pictures_total", end="cancelled") == 1
    assert value(metrics, "imagegen_picture_seconds_sum") == 1.5
    assert value(metrics, "imagegen_waiting_seconds_count") == 2


def test_a_picture_that_never_began_leaves_no_row() -> None:
    metrics = Metrics()
    counts = EngineMetrics(metrics, rows=16)
    counts.observe(Event(Job(Recipe(prompt="a")), "failed", 0, 0, 0.1))
    assert value(metrics, "imagegen_batch_fill") == 0
    assert value(metrics, "imagegen_pictures_total", end="failed") == 1
