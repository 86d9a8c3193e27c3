"""How many images the engine draws in a second, beside a serial diffusers pipeline of the same weights and steps."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.job import Event
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.pipeline_saved import save_pipeline
from apps.imagegen.models.schedulers import new_scheduler
from benchmarks.command_line import whole

_THINGS = ("apple", "car", "cat", "house", "heart", "pizza", "sun", "tree")
_COLOURS = ("red", "blue", "green", "yellow")
PROTOCOL = (
    "One process, one model, float32, all cores. Serial: StableDiffusionPipeline of diffusers as from_pretrained gives "
    "it, called once for each image, as a plain server would. Engine: all images are submitted at once and wait; "
    "seconds from the first submission to the last result. Text encoding, decoding and transport within the process "
    "are in both. After one image of each to warm up, the two take turns, `repeats` times, and an engine lasts for its "
    "turn only, so that neither's idle threads hinder the other; medians, lowest and highest beside them, and the "
    "ratio of each turn. The images are compared, grey level by grey level. Alone: one request in "
    "an idle engine, with one partial picture; its share is of the time from submission to the image."
)


def run(
    model: str = "",
    images: str = "16",
    steps: str = "25",
    repeats: str = "3",
    guidance: str = "4.0",
    scheduler: str = "ddim",
    rows: str = "16",
) -> dict[str, Any]:
    """Measure, and return the record's content. model: folder of a pipeline, empty: the embedded one.

    rows: most of a batch. Raises InputError for a number that is none, and as load_pipeline does.
    """
    pipeline = load_pipeline(Path(model) if model else None)
    count, turns = whole("images", images), whole("repeats", repeats)
    recipes = [
        pipeline.resolve(
            Recipe(
                f"{_COLOURS[i % len(_COLOURS)]} {_THINGS[i // len(_COLOURS) % len(_THINGS)]}",
                seed=i,
                steps=whole("steps", steps),
                guidance=float(guidance),
                scheduler=scheduler,
            )
        )
        for i in range(count)
    ]
    peer = _plain(pipeline)
    opened_s, serial_s, engine_s, difference, alone = [], [], [], [], []
    _serial(peer, pipeline, recipes[:1])
    for turn in range(turns):
        began = time.perf_counter()
        theirs = _serial(peer, pipeline, recipes)
        serial_s.append(time.perf_counter() - began)
        began = time.perf_counter()
        with Engine(pipeline, rows=whole("rows", rows), waiting=max(count, 64)) as engine:
            opened_s.append(time.perf_counter() - began)
            engine.submit(recipes[0]).result()
            began = time.perf_counter()
            ours = [job.result() for job in [engine.submit(recipe) for recipe in recipes]]
            engine_s.append(time.perf_counter() - began)
            alone.append(_alone(engine, recipes[turn % count]))
        difference.append(max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)))
    ratios = [serial / ours_s for serial, ours_s in zip(serial_s, engine_s, strict=True)]
    rates = {"serial": [count / s for s in serial_s], "engine": [count / s for s in engine_s]}
    share = statistics.median(one["preview_share"] for one in alone)
    return {
        "headline": {
            "engine": f"{statistics.median(rates['engine']):.2f} images/s",
            "serial diffusers": f"{statistics.median(rates['serial']):.2f} images/s",
            "ratio": f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            "first partial picture": f"after {share:.0%} of the time",
        },
        "protocol": PROTOCOL,
        "images": count,
        "recipe": {"steps": int(steps), "guidance": float(guidance), "scheduler": scheduler},
        "size": list(pipeline.own_size),
        "model": pipeline.digest,
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "engine_opens_seconds": round(statistics.median(opened_s), 2),
        "images_per_second": {name: _spread(result) for name, result in rates.items()},
        "ratio": _spread(ratios),
        "greatest_difference_grey_levels": max(difference),
        "alone": alone,
    }


def _plain(pipeline: Pipeline) -> Any:
    """Return diffusers' own pipeline of the same weights, loaded from a folder as its users would."""
    with tempfile.TemporaryDirectory() as folder:
        save_pipeline(pipeline, Path(folder))
        peer = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, local_files_only=True)
    peer.set_progress_bar_config(disable=True)
    return peer


def _serial(peer: Any, pipeline: Pipeline, recipes: Sequence[Recipe]) -> list[np.ndarray]:
    drawn = []
    for recipe in recipes:
        peer.scheduler = new_scheduler(recipe.scheduler, pipeline.scheduler_config)
        result = peer(
            recipe.prompt,
            height=recipe.height,
            width=recipe.width,
            num_inference_steps=recipe.steps,
            guidance_scale=recipe.guidance,
            generator=torch.Generator().manual_seed(recipe.seed),
            output_type="np",
        )
        drawn.append(result.images[0] * 255.0)
    return drawn


def _alone(engine: Engine, recipe: Recipe) -> dict[str, float]:
    seen: dict[str, float] = {}

    def note(event: Event) -> None:
        seen.setdefault(event.kind, event.seconds)

    engine.submit(recipe, previews=1, on_event=note).result()
    return {"seconds": seen["done"], "preview_share": seen.get("preview", seen["done"]) / seen["done"]}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}
