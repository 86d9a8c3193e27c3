"""The style of another emoji set, learned from a few of its pictures: how near drawn pictures come, and its cost.

The set is Google's Noto Emoji (npm emoji-datasource-google), of which the model never saw a picture. The adapter learns
some; the distance is measured on names that are not among those, between drawn pictures and Google's own of the same
names, before and after, on features of one network. Beside them stand real pictures: the style that the model was
trained on, and the very pictures that were learned. What the model draws without the word should stay as near to its
own style as before. Legend: N learned pictures, M measured names, H rows, W columns, F features.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from apps.imagegen.config import ImagegenConfig, PersonaliseConfig
from apps.imagegen.data.packages import OTHER_STYLE, archive_of, files_of
from apps.imagegen.data.pictures import TRAIN, PictureSet, load_pictures
from apps.imagegen.data.pixels import decode_image
from apps.imagegen.data.prompts import stem_of
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.metrics.kid import kid
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.drawing import ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.inception import NETWORK, load_inception
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.personalise import Personalised, personalise, write
from apps.imagegen.report.sheet import sheet_png
from benchmarks.command_line import whole
from core.errors import InputError
from core.runs.files import make_folder, write_bytes
from core.runs.folder import Run
from core.training.config import TrainerConfig

TOKEN = "<flat> style"
# as conf/imagegen/experiment/personalise.yaml
TRAINER = TrainerConfig(
    max_steps=400,
    max_minutes=7.0,
    batch_size=8,
    learning_rate=5e-4,
    weight_decay=0.0,
    warmup_steps=50,
    ema_decay=0.0,
    precision="bf16",
    checkpoint_every_steps=100,
)
_SHOWN = 16  # pictures on a sheet
_WITH = f"{{}}, {TOKEN}"


def run(
    cache: str = ".cache/imagegen",
    model: str = "",
    learned: str = "16",
    measured: str = "96",
    steps: str = str(TRAINER.max_steps),
    rank: str = "4",
    output: str = "",
) -> dict[str, Any]:
    """Measure and return figures; KID × 1000, with its 95 % interval.

    cache: of the packages. model: a pipeline's folder, the embedded one if empty. learned: pictures, 5 to 20.
    measured: other names to draw. output: folder for the adapter and the contact sheets, kept nowhere if empty.
    """
    N, M = whole("learned", learned), whole("measured", measured)
    trainer = replace(TRAINER, max_steps=whole("steps", steps))
    pipeline = load_pipeline(Path(model) if model else None)
    own, other_NHWC = both_styles(Path(cache), pipeline.own_size)
    index_N = np.random.default_rng(0).permutation(len(own.pictures))[: N + M]
    if len(index_N) < N + M:
        raise InputError(
            "measured", f"both sets share {len(own.pictures)} names; learned + measured are {N + M}"
        )
    names = [own.pictures[index].name for index in index_N]
    with tempfile.TemporaryDirectory() as folder:
        images = make_folder(Path(folder) / "images")
        for name, index in zip(names[:N], index_N, strict=False):
            Image.fromarray(other_NHWC[index]).save(images / f"{stem_of(name)}.png")
        kept = Path(output) if output else Path(folder) / "output"
        began = time.monotonic()
        learned_adapter = learn(images, Path(folder) / "run", pipeline, trainer, whole("rank", rank))
        seconds = time.monotonic() - began
        adapter = write(learned_adapter, kept).stem
        adapters = AdapterCache(kept, pipeline)
        with Engine(pipeline, adapters=adapters) as engine:
            sets = {
                "before": drawn(engine, [_WITH.format(one) for one in names[N:]], None),
                "after": drawn(engine, [_WITH.format(one) for one in names[N:]], adapter),
                "plain before": drawn(engine, names[N:], None),
                "plain after": drawn(engine, names[N:], adapter),
            }
        metadata = adapters.metadata(adapter)
    sets["own style"] = own.rgb_NHWC[index_N[N:]]
    sets["other style"] = other_NHWC[index_N[N:]]
    sets["other style, learned"] = other_NHWC[index_N[:N]]
    if output:
        write_sheets(Path(output), names[N:], sets)
    features = load_inception(Path(cache)).features
    feature_by_set = {name: features(rgb).numpy() for name, rgb in sets.items()}
    distances, nearer = distances_of(feature_by_set, N, M), nearer_of(feature_by_set)
    return {
        "headline": {
            "kid_to_style_before": distances["other style"]["before"][0],
            "kid_to_style_after": distances["other style"]["after"][0],
            "nearer_to_style_before": nearer["before"],
            "nearer_to_style_after": nearer["after"],
            "minutes": round(seconds / 60, 2),
            "adapter_mb": round(len(learned_adapter.data) / 1e6, 3),
        },
        "model": pipeline.digest,
        "network": NETWORK,
        "kid_1000": distances,
        "nearer_to_other_style": nearer,
        "names": M,
        "seconds": round(seconds, 1),
        "bytes": len(learned_adapter.data),
        "adapter": metadata,
        "trainer": asdict(trainer),
    }


def both_styles(cache: Path, size: tuple[int, int]) -> tuple[PictureSet, np.ndarray]:
    """Return training pictures of the model's style whose names both sets have, and Google's of the same, (N, H, W, 3).

    A training picture, so that the model knows the thing: what is measured is style.
    """
    files = files_of(archive_of(OTHER_STYLE, cache), "img/google/64", ".png")
    own = load_pictures(cache, size[0]).part(TRAIN, plain=True)
    file_by_index = {index: _file(one.code, files) for index, one in enumerate(own.pictures)}
    chosen = [index for index, data in file_by_index.items() if data is not None]
    others = [decode_image(file_by_index[index] or b"", size) for index in chosen]
    return PictureSet(tuple(own.pictures[index] for index in chosen), own.rgb_NHWC[chosen]), np.stack(others)


def learn(images: Path, folder: Path, pipeline: Pipeline, trainer: TrainerConfig, rank: int) -> Personalised:
    """Train an adapter on the pictures of a folder, as stage=personalise does. folder: of the run."""
    cfg = ImagegenConfig(
        stage="personalise",
        images=str(images),
        token=TOKEN,
        output=str(folder),
        trainer=trainer,
        personalise=PersonaliseConfig(rank=rank),
    )
    with closing(Run(folder)) as run:
        return personalise(cfg, run, pipeline)


def drawn(engine: Engine, prompts: Sequence[str], adapter: str | None) -> np.ndarray:
    """Return one picture of each prompt, (M, H, W, 3) uint8; the same seeds whatever the adapter."""
    wanted = [ImageSpec(Recipe(prompt, seed=seed, adapter=adapter)) for seed, prompt in enumerate(prompts)]
    return np.stack([one.picture() for one in draw_all(engine, wanted, 32)])


def distances_of(feature_by_set: dict[str, np.ndarray], N: int, M: int) -> dict[str, dict[str, list[float]]]:
    """Return KID × 1000 with its interval: of each set to Google's pictures, and of what is drawn to the own style.

    Pictures of one name are one owner: their pairs do not count.
    """
    measured_M = np.arange(M)
    owner = dict.fromkeys(feature_by_set, measured_M) | {"other style, learned": M + np.arange(N)}

    def to(goal: str, names: Sequence[str]) -> dict[str, list[float]]:
        pairs = {
            name: kid(feature_by_set[name], feature_by_set[goal], owner[name], owner[goal]) for name in names
        }
        return {name: [round(1000 * one, 3) for one in estimate] for name, estimate in pairs.items()}

    return {
        "other style": to("other style", ("before", "after", "own style", "other style, learned")),
        "own style": to("own style", ("plain before", "plain after", "other style")),
    }


def nearer_of(feature_by_set: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the share of names whose drawn picture is nearer, by the cosine, to Google's of that name than to the own.

    KID measures how clean pictures are more than their style: real ones of both styles are hardly apart by it.
    """
    unit = {name: one / np.linalg.norm(one, axis=1, keepdims=True) for name, one in feature_by_set.items()}

    def share(name: str) -> float:
        to_other, to_own = ((unit[name] * unit[goal]).sum(axis=1) for goal in ("other style", "own style"))
        return round(float((to_other > to_own).mean()), 3)

    return {name: share(name) for name in ("before", "after", "plain before", "plain after")}


def write_sheets(output: Path, names: Sequence[str], sets: dict[str, np.ndarray]) -> None:
    """Write a sheet of learned pictures, and one with a row of each other set for the first names."""
    learned = sets["other style, learned"]
    write_bytes(output / "learned.png", sheet_png(list(learned), [""] * len(learned)))
    rows = [name for name in sets if name != "other style, learned"]
    shown = min(len(names), _SHOWN)
    pictures = [sets[row][index] for row in rows for index in range(shown)]
    captions = [f"{names[index]}\n{row}" for row in rows for index in range(shown)]
    write_bytes(output / "styles.png", sheet_png(pictures, captions, shown))


def _file(code: str, files: dict[str, bytes]) -> bytes | None:
    spellings: list[Callable[[str], str]] = [
        str,
        lambda one: one.removesuffix("-fe0f"),
        lambda one: f"{one}-fe0f",
    ]
    return next((files[name] for way in spellings if (name := f"{way(code.lower())}.png") in files), None)
