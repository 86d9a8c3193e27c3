"""Every format of the image pipeline's networks, and the seconds of a picture on each that runs here."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from apps.imagegen.config import DataConfig, ImagegenConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.export import export
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.runtime import on_artifacts
from benchmarks.command_line import whole
from benchmarks.exports import measure_export
from core.errors import TriptychError
from core.export.formats import FORMATS
from core.export.manifest import Manifest
from core.runs.folder import Run

PROTOCOL = (
    "Seconds of one picture in an idle engine, from submission to the picture, after one of two steps to warm up; the "
    "median of three. A runtime computes on as many threads as PyTorch, or on one where only that keeps its bits. "
    "Processor seconds of the export are those of all its threads and compilers."
)
TURNS = 3


def run(model: str = "", steps: str = "25", cache: str = ".cache/imagegen") -> dict[str, Any]:
    """Return the record: what the manifest says, and seconds of a picture of so many steps by runtime.

    model: folder of a pipeline, empty: the embedded one. Raises InputError and ConfigError as the stage does.
    """
    count, folder = whole("steps", steps), Path(cache) / "exported"

    def exported(formats: list[str], output: Path) -> Manifest:
        config = ImagegenConfig(
            "export",
            weights=model or None,
            output=str(output),
            formats=formats,
            data=DataConfig(cache=cache),
        )
        with tempfile.TemporaryDirectory() as record, closing(Run(Path(record))) as opened:
            return export(
                config,
                opened.log,
                on_step=lambda step: print(f"{step.network}, {step.format}: {step.outcome}"),
            )

    began = _processor_seconds()
    result = measure_export(exported, folder)
    result["export_processor_seconds"] = round(_processor_seconds() - began, 1)
    result["headline"]["processor minutes"] = f"{result['export_processor_seconds'] / 60:.1f}"
    pipeline = load_pipeline(Path(model) if model else None, "cpu")
    result["model"] = result.pop("weights")  # as other records of pictures call the digest
    runtimes = [
        one for one in dict.fromkeys(a["format"] for a in result["artifacts"]) if FORMATS[one].runtime
    ]
    seconds: dict[str, float | str] = {"pytorch": seconds_of(pipeline, count)}
    for name in runtimes:
        try:
            seconds[name] = seconds_of(on_artifacts(pipeline, folder, name), count)
        except TriptychError as refused:
            seconds[name] = refused.sentence.replace(str(folder), folder.name)
    result |= {"protocol": PROTOCOL, "steps": count, "threads": torch.get_num_threads(), "picture": seconds}
    best, name = min((value, name) for name, value in seconds.items() if isinstance(value, float))
    result["headline"]["picture"] = f"{best:.1f} s ({name}; PyTorch {seconds['pytorch']:.1f} s)"
    return result


def _processor_seconds() -> float:
    """Return what this process and its compilers have computed for: on a machine with other work, what holds."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def seconds_of(pipeline: Pipeline, steps: int) -> float:
    """Return the seconds of one picture, by PROTOCOL. Raises InputError where the engine refuses the runtime."""
    times = []
    with Engine(pipeline) as engine:
        engine.submit(Recipe("red apple", steps=2)).result()
        for turn in range(TURNS):
            began = time.perf_counter()
            engine.submit(Recipe("red apple", steps=steps, seed=turn)).result()
            times.append(time.perf_counter() - began)
    return round(statistics.median(times), 3)
