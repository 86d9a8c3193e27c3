"""stage=export: a pipeline folder for diffusers, or the four networks in other formats, each checked by its pictures.

Without formats= the whole pipeline is written as a folder (`models.pipeline_export`). With formats= each network is
written alone: text encoder, U-Net, encoder and decoder of the autoencoder; tokenizer and sampler stay Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.pictures import HELD_OUT, everyday_prompts
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.metrics.caption_match import match, wins
from apps.imagegen.metrics.estimate import Estimate
from apps.imagegen.metrics.kid import kid
from apps.imagegen.models.drawing import ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.judges import Judges, load_judges
from apps.imagegen.models.networks import networks_of
from apps.imagegen.models.pipeline_export import export_pipeline
from apps.imagegen.models.pipeline_folder import EMBEDDED, Pipeline, load_pipeline
from apps.imagegen.models.runtime import APP
from apps.imagegen.models.sampling import sample
from core.errors import ExitCode
from core.export.formats import chosen
from core.export.manifest import Manifest
from core.export.publish import Progress, publish
from core.export.report import finish
from core.export.task import Metric, Replaced, Task
from core.runs.folder import Run
from core.runs.log import RunLog

REAL = 4  # prompts whose denoising the networks are compared on
SEED, OTHER_SEED = 0, 1000  # of the pictures judged; of those compared and calibrated on


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Write the pipeline of `cfg.weights` to `cfg.output`, or its networks in `cfg.formats`.

    Return 4 where a network was refused in a format, else 0. Raises InputError as `export_pipeline` and `export` do.
    """
    if cfg.formats:
        manifest = export(
            cfg, run.log, on_step=lambda step: run.say(f"{step.network}, {step.format}: {step.outcome}")
        )
        return finish(manifest, run)
    made = export_pipeline(_source(cfg), Path(str(cfg.output)))
    dtype = str(made.dtype).removeprefix("torch.")
    run.write_metrics({"bytes": made.size, "model": made.model, "dtype": dtype})
    run.log.event("exported", bytes=made.size)
    return ExitCode.DONE


def export(cfg: ImagegenConfig, log: RunLog, on_step: Callable[[Progress], None]) -> Manifest:
    """Export the networks of `cfg.weights` in `cfg.formats` to `cfg.output`, and return the manifest.

    What judges the pictures is fetched, and the scorer trained, once below `cfg.data.cache`. Raises ConfigError for
    formats that are not known or whose package is missing, InputError for weights or a folder that cannot be used, or
    packages that cannot be fetched.
    """
    formats = chosen(cfg.formats)
    pipeline = load_pipeline(_source(cfg), "cpu")
    judges = load_judges(Path(cfg.data.cache), pipeline.own_size[0], log)
    prompts = _prompts()
    return publish(
        networks_of(
            pipeline,
            lambda: sample(pipeline, prompts[:REAL], OTHER_SEED, kept=1),
            lambda: sample(pipeline, prompts, OTHER_SEED),
        ),
        task_of(pipeline, judges, cfg.export.steps),
        formats,
        Path(str(cfg.output)),
        app=APP,
        model=pipeline.digest,
        on_step=on_step,
    )


def task_of(pipeline: Pipeline, judges: Judges, steps: int) -> Task:
    """Return what must survive: KID and caption match of one picture of each everyday prompt, of so many steps.

    Each may end anywhere inside the 95 % interval that PyTorch's own pictures leave it: above its worse end. PyTorch's
    pictures are drawn here, once.
    """
    judged = _judged_by(judges)
    before = judged(_drawn(pipeline, steps))
    kid_allowed = before["KID"].upper - before["KID"].value
    match_allowed = before["caption match"].value - before["caption match"].lower

    def measure(networks: Replaced) -> Mapping[str, float]:
        after = judged(_drawn(replace(pipeline, networks=networks), steps)) if networks else before
        return {name: result.value for name, result in after.items()}

    prompts = len(_prompts())
    return Task(
        f"{prompts} pictures of embedded prompts, {steps} steps each",
        (
            Metric("KID", "kernel inception distance from held-out pictures", "lower", kid_allowed),
            Metric(
                "caption match",
                f"share of pictures whose own prompt fits best among {prompts}, 0 to 1",
                "higher",
                match_allowed,
            ),
        ),
        measure,
    )


def _drawn(pipeline: Pipeline, steps: int) -> np.ndarray:
    """Draw a picture of each everyday prompt, rgb_NHWC uint8."""
    recipes = [Recipe(prompt, seed=SEED + n, steps=steps) for n, prompt in enumerate(_prompts())]
    with Engine(pipeline, waiting=len(recipes)) as engine:
        drawn = draw_all(engine, [ImageSpec(recipe) for recipe in recipes], at_once=len(recipes))
        return np.stack([one.picture() for one in drawn])


def _judged_by(judges: Judges) -> Callable[[np.ndarray], dict[str, Estimate]]:
    """Return what measures both metrics of pictures of the everyday prompts, (N, H, W, C) uint8.

    Features of the held-out pictures are computed here, once: there are four times as many as of pictures drawn.
    """
    prompts = _prompts()
    held = judges.pictures.part(HELD_OUT, plain=True)
    held_MF = judges.inception.features(held.rgb_NHWC).numpy()
    owner_by_code = {one.code: one.owner for one in judges.pictures.pictures}
    owners = [owner_by_code.get(row["picture"], row["prompt"]) for row in everyday_prompts()]
    number_by_owner = {
        owner: n for n, owner in enumerate(sorted({*owners, *(one.owner for one in held.pictures)}))
    }
    owner_N = np.array([number_by_owner[owner] for owner in owners])
    owner_M = np.array([number_by_owner[one.owner] for one in held.pictures])
    own_N = np.arange(len(prompts))

    def judged(rgb_NHWC: np.ndarray) -> dict[str, Estimate]:
        drawn_NF = judges.inception.features(rgb_NHWC).numpy()
        return {
            "KID": kid(drawn_NF, held_MF, owner_N, owner_M),
            "caption match": match(wins(judges.scorer.scores(rgb_NHWC, prompts), own_N), own_N),
        }

    return judged


def _prompts() -> list[str]:
    return [row["prompt"] for row in everyday_prompts()]


def _source(cfg: ImagegenConfig) -> Path:
    return Path(cfg.weights) if cfg.weights else EMBEDDED
