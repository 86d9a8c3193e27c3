"""What the engine does, as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from apps.imagegen.models.job import Event
from core.serving.metrics import Metrics

_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)


class EngineMetrics:
    """Counts by the engine's events; `observe` is called in its thread. rows: of its largest batch."""

    def __init__(self, metrics: Metrics, rows: int) -> None:
        registry = metrics.registry
        self._rows = rows
        self._under_way: dict[int, int] = {}  # rows of the pictures under way, by job
        self._steps = Counter("imagegen_steps", "Denoising steps taken, of all pictures.", registry=registry)
        self._pictures = Counter(
            "imagegen_pictures", "Pictures that ended: done, failed, cancelled.", ("end",), registry=registry
        )
        self._seconds = Histogram(
            "imagegen_picture_seconds",
            "Time of a finished picture, waiting included.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited = Histogram(
            "imagegen_waiting_seconds", "Time until a picture began.", buckets=_SECONDS, registry=registry
        )
        self.running = Gauge("imagegen_pictures_running", "Pictures being drawn.", registry=registry)
        self.waiting = Gauge("imagegen_pictures_waiting", "Pictures that wait to begin.", registry=registry)
        self._fill = Gauge(
            "imagegen_batch_fill", "Rows under way, as a share of the largest batch.", registry=registry
        )

    def observe(self, event: Event) -> None:
        """Count one event."""
        if event.kind == "step":
            self._steps.inc()
            return
        if event.kind == "started":
            self._under_way[id(event.job)] = event.job.rows
            self._waited.observe(event.seconds)
        elif event.kind != "preview":
            self._under_way.pop(id(event.job), None)
            self._pictures.labels(event.kind).inc()
            if event.kind == "done":
                self._seconds.observe(event.seconds)
        self._fill.set(sum(self._under_way.values()) / self._rows)
