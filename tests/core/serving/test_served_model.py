from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.export.manifest import FileRecord
from core.serving.exported_folder import Exported, exported
from core.serving.metrics import Metrics
from core.serving.models_config import ModelsConfig
from core.serving.served_model import ModelMetrics, ServedModel, close, start
from tests.core.serving.exports import BLUR, MIX, SPIN, folder

pytestmark = pytest.mark.slow


def models(found: list[Exported], counts: ModelMetrics | None = None) -> dict[str, ServedModel]:
    counts = counts or ModelMetrics(Metrics())
    return {one.name: ServedModel(one, ModelsConfig(threads=1), counts, None) for one in found}


def test_it_describes_itself_by_its_manifest() -> None:
    assert models(exported([folder()], "auto"))[BLUR].metadata == {
        "name": BLUR,
        "versions": ["1"],
        "platform": "triptych_torchscript",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, -1, -1]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2, -1, -1]}],
        "parameters": {
            "weights": "a" * 64,
            "precision": "f32",
            "axis B": "1 to 8",
            "axis H": "8 to 64 in steps of 8",
            "axis W": "8 to 64 in steps of 8",
        },
    }


def test_rows_are_joined_where_they_are_independent_and_counted() -> None:
    metrics = Metrics()

    async def run() -> None:
        served = models(exported([folder()], "auto"), ModelMetrics(metrics))
        await start(list(served.values()))
        try:
            for name in (MIX, SPIN):
                arrays = {"x": np.zeros(4, "f4"), **({"scale": np.array([7])} if name == SPIN else {})}
                shapes = {"x": [1, 4], "scale": [1]}
                answers = await asyncio.gather(*(served[name].infer(arrays, shapes) for _ in range(5)))
                assert [answer["y"].shape for answer in answers] == [(1, 4)] * 5
            with pytest.raises(InputError, match="spin: x holds values that are not finite"):
                await served[SPIN].infer({"x": np.full(4, np.nan, "f4"), "scale": np.array([7])}, shapes)
        finally:
            await close(list(served.values()))

    asyncio.run(run())
    text = metrics.text().decode()
    for line in (
        f'model_batch_rows_count{{model="{SPIN}"}} 2.0',  # one, then the four that waited
        f'model_batch_rows_sum{{model="{SPIN}"}} 5.0',
        f'model_inferences_total{{model="{MIX}"}} 5.0',
        f'model_restarts{{model="{MIX}"}} 0.0',
    ):
        assert line in text
    assert f'model_batch_rows_count{{model="{MIX}"}}' not in text


def test_one_that_cannot_be_loaded_ends_all(tmp_path: Path) -> None:
    found = exported([folder()], "auto")
    wrong = replace(found[0].artifact, files=(FileRecord(found[0].artifact.files[0].path, "0" * 64),))
    served = models([*found[1:], replace(found[0], artifact=wrong)])

    async def run() -> None:
        with pytest.raises(InputError, match="is not the file that was exported"):
            await start(list(served.values()))

    asyncio.run(run())
    pids = [pid for model in served.values() for pid in model.pool.pids]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
