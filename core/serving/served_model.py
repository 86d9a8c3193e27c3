"""An exported network that is being served: its processes, its queue, its description."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from prometheus_client import Counter, Gauge, Histogram

from core.export.inputs import Given, require_valid
from core.export.ports import Port
from core.runs.log import RunLog
from core.serving.batching import Batcher
from core.serving.exported_folder import Exported, rows_of
from core.serving.messages import Message
from core.serving.metrics import Metrics
from core.serving.model_pool import ModelPool
from core.serving.models_config import ModelsConfig
from core.serving.tensors import DATATYPES, extremes

VERSION = "1"  # a folder holds one; its weights are told apart by their digest
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class ModelMetrics:
    """What is counted of each model, beside the requests of the service."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.waiting = Gauge("model_requests_waiting", "Requests that wait.", ("model",), registry=registry)
        self.running = Gauge(
            "model_requests_running", "Requests, or batches, under way.", ("model",), registry=registry
        )
        self.processes = Gauge("model_processes", "Processes that run.", ("model",), registry=registry)
        self.restarts = Gauge("model_restarts", "Processes started again.", ("model",), registry=registry)
        self.rows = Histogram(
            "model_batch_rows", "Rows computed at once.", ("model",), buckets=_ROWS, registry=registry
        )
        self.inferences = Counter("model_inferences", "Requests answered.", ("model",), registry=registry)


class ServedModel:
    """A model that requests name. start before the first of them, close after the last."""

    def __init__(
        self, exported: Exported, config: ModelsConfig, counts: ModelMetrics, log: RunLog | None
    ) -> None:
        self.name, self.artifact, self._exported = exported.name, exported.artifact, exported
        self.pool = ModelPool(
            exported.source(config.threads),
            processes=config.processes,
            waiting=config.waiting,
            timeout_s=config.timeout,
            start_s=config.start,
            name=exported.name,
            log=log,
        )
        rows = rows_of(exported.artifact) if config.max_batch > 1 else None
        self._batcher = Batcher(
            self.pool,
            rows,
            most=config.max_batch,
            wait_s=config.batch_wait / 1000,
            waiting=config.waiting,
            observe=counts.rows.labels(self.name).observe if rows is not None else None,
        )
        counts.waiting.labels(self.name).set_function(lambda: self._batcher.queued)
        counts.running.labels(self.name).set_function(lambda: self._batcher.running)
        counts.processes.labels(self.name).set_function(lambda: len(self.pool.pids))
        counts.restarts.labels(self.name).set_function(lambda: self.pool.restarts)
        self._answered = counts.inferences.labels(self.name)

    @property
    def metadata(self) -> dict[str, Any]:
        """What the protocol says of a model, and what its manifest says beside."""
        artifact = self.artifact
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": f"triptych_{artifact.format}",
            "inputs": [_described(port) for port in artifact.inputs],
            "outputs": [_described(port) for port in artifact.outputs],
            "parameters": {
                "weights": self._exported.weights,
                "precision": artifact.precision,
                **{f"axis {axis.name}": axis.allowed() for axis in artifact.axes},
            },
        }

    async def infer(
        self, arrays: Mapping[str, NDArray], shapes: Mapping[str, Sequence[int]]
    ) -> Mapping[str, NDArray]:
        """Return the outputs by name. arrays: flat. Raises InputError for what the network does not take."""
        given = [
            Given(port.dtype, shapes[port.name], lambda array=arrays[port.name]: extremes(array))  # type: ignore[misc]
            for port in self.artifact.inputs
        ]
        require_valid(self.artifact, given)
        shaped = {name: array.reshape(shapes[name]) for name, array in arrays.items()}
        answer = await self._batcher.call(Message({}, shaped))
        self._answered.inc()
        return answer.arrays


async def start(models: Sequence[ServedModel]) -> None:
    """Load all models at once; where one cannot be, the others are given up. Raises as ModelPool.start does."""
    starting = [asyncio.create_task(model.pool.start()) for model in models]
    try:
        await asyncio.wait(starting, return_when=asyncio.FIRST_EXCEPTION)
        for task in starting:
            if task.done():
                task.result()
    except BaseException:
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)
        await close(models)
        raise


async def close(models: Sequence[ServedModel]) -> None:
    """End all processes."""
    await asyncio.gather(*(model.pool.close() for model in models))


def _described(port: Port) -> dict[str, Any]:
    shape = [dim if isinstance(dim, int) else -1 for dim in port.dims]
    return {"name": port.name, "datatype": DATATYPES[port.dtype][0], "shape": shape}
