"""stage=generate: prompts to PNG files that hold their recipe, and a contact sheet; or one such file drawn again.

output/
├── 001_red-apple_seed-7.png             each picture as soon as it is done
├── 001_red-apple_seed-7_attention.png   with probes=attention
├── sheet.png                            the first of them, with captions
├── pictures.json                        files and their recipes
└── refused.csv                          prompts that cannot be drawn, and why

No file of another content is replaced: a picture's name then ends in a digest of its recipe, those of the last three in
one of their content.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from apps.imagegen.config import STRENGTH, ImagegenConfig, size_of
from apps.imagegen.data.new_files import write_new, write_together
from apps.imagegen.data.prompts import Prompt, read_prompts, stem_of
from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.errors import RecipeError
from apps.imagegen.models.attention_probe import AttentionProbe, words_of
from apps.imagegen.models.drawing import ImageResult, ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.given import Given, given, read_file, whole_size
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.resolve import complete_recipe
from apps.imagegen.reasons import INPUT, OUTPUT, REPLAY
from apps.imagegen.report.attention_picture import attention_png
from apps.imagegen.report.lettering import printable
from apps.imagegen.report.recipe_files import pixels_of, recipe_of, same_kind
from apps.imagegen.report.recipe_png import png_bytes
from apps.imagegen.report.sheet import sheet_png
from core.errors import ExitCode, InputError, TriptychError
from core.runs.files import csv_text, json_text, make_folder
from core.runs.folder import Run
from core.terminal.notes import print_note
from core.terminal.progress import progress

REFUSED = ("line", "code", "sentence", "prompt")
_ON_SHEET = 64  # pictures
_COLUMNS = 8
_QUOTED = 200  # characters of a refused prompt
_NAMED = 3  # files that a notice names
_NO_ROOM = ("output_full", "output_unwritable")
_NO_PICTURES: dict[str, bytes | None] = {"sheet.png": None, "pictures.json": None}


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Draw into `cfg.output`; return 4 where a prompt was refused and others were drawn, else 0.

    The same call again writes the same bytes. Raises InputError where nothing can be drawn, or where the picture of
    replay= came out differently (replay_differs; what was drawn is left in the output).
    """
    began = time.monotonic()
    prompts = _prompts(cfg) if cfg.replay is None else []
    replayed = read_file(Path(cfg.replay), "replay") if cfg.replay is not None else b""
    recipe = recipe_of(replayed) if cfg.replay is not None else _recipe(cfg)
    pipeline = load_pipeline(Path(cfg.weights) if cfg.weights else None, cfg.model.device)
    for caution in pipeline.cautions:
        print_note(caution)
    if cfg.replay is not None:
        return _replay(cfg, run, pipeline, recipe, replayed, began)
    # a prompt that can be drawn stands for all: what is refused then is the command's own fault
    image = read_file(Path(cfg.image), "image") if cfg.image is not None else None
    recipe = whole_size(pipeline, recipe, image)
    whole = pipeline.resolve(replace(recipe, prompt="-", strength=None, text_chunks=1))
    files = _given(cfg, pipeline, whole)
    recipe = replace(recipe, adapter=files.adapter)
    wanted, refused = _wanted(cfg, pipeline, files, recipe, prompts)
    if not wanted:
        if cfg.prompts is not None:
            write_together(make_folder(Path(str(cfg.output))), _NO_PICTURES | _refused_csv(cfg, refused))
        first, fault = next(iter(refused.items()))
        if cfg.prompts is None:
            raise fault
        raise INPUT("prompts_refused", count=len(prompts), line=first.line, first=fault.sentence)
    ready = time.monotonic()
    _draw(cfg, pipeline, files, wanted, refused)
    seconds = time.monotonic() - ready
    code = ExitCode.QUARANTINED if refused else ExitCode.DONE
    run.write_metrics(
        {
            "pictures": len(wanted),
            "refused": len(refused),
            "model": pipeline.digest,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(seconds, 3),
            "seconds_picture": round(seconds / len(wanted), 4),
            "exit_code": int(code),
        }
    )
    run.log.event("generated", items=len(wanted), quarantined=len(refused), seconds=round(seconds, 3))
    return code


def file_name(number: int, count: int, recipe: Recipe) -> str:
    """Return the name of a picture's file, without ending: names of one run sort in its order and can be read."""
    digits = max(3, len(str(count)))
    return f"{number:0{digits}d}_{stem_of(recipe.prompt)}_seed-{recipe.seed}"


def _prompts(cfg: ImagegenConfig) -> list[Prompt]:
    return read_prompts(Path(cfg.prompts)) if cfg.prompts is not None else [Prompt(str(cfg.prompt))]


def _strength(cfg: ImagegenConfig) -> float | None:
    """Return how much of a given picture may change: what a mask shows is drawn anew unless told otherwise."""
    if cfg.image is None:
        return None
    return cfg.strength or (STRENGTH if cfg.mask is None else 1.0)


def _recipe(cfg: ImagegenConfig) -> Recipe:
    """Return what all pictures have in common, without prompt and adapter."""
    width, height = size_of(cfg.size)
    return Recipe(
        prompt="",
        negative=cfg.negative,
        seed=cfg.seed,
        width=width,
        height=height,
        steps=cfg.steps,
        guidance=cfg.guidance,
        scheduler=cfg.scheduler,
        adapter_scale=cfg.adapter_scale,
        strength=_strength(cfg),
    )


def _given(cfg: ImagegenConfig, pipeline: Pipeline, whole: Recipe) -> Given:
    files = given(pipeline, whole, image=cfg.image, mask=cfg.mask, adapter=cfg.adapter, fit=cfg.fit)
    if files.note:
        print_note(files.note)
    return files


def _wanted(
    cfg: ImagegenConfig, pipeline: Pipeline, files: Given, recipe: Recipe, prompts: Sequence[Prompt]
) -> tuple[dict[int, Recipe], dict[Prompt, RecipeError]]:
    """Return whole recipes by their number, which counts what is refused too, and the prompts that are refused."""
    wanted: dict[int, Recipe] = {}
    refused: dict[Prompt, RecipeError] = {}
    cut: dict[int, str] = {}
    for place, prompt in enumerate(prompts):
        try:
            whole = complete_recipe(
                pipeline, files.adapters, replace(recipe, prompt=prompt.text), files.image, files.mask
            )
        except RecipeError as fault:
            if fault.param != "prompt":
                raise
            refused[prompt] = fault
            continue
        wanted.update(enumerate(seeds(whole, cfg.n), place * cfg.n + 1))
        if sentences := pipeline.notes(whole):
            cut[prompt.line] = "; ".join(sentences)
    for line, sentence in list(cut.items())[:_NAMED]:
        print_note(f"line {line}: {sentence}" if cfg.prompts is not None else sentence)
    if len(cut) > _NAMED:
        print_note(f"so it is with {len(cut) - _NAMED} more prompts")
    return wanted, refused


def _draw(
    cfg: ImagegenConfig,
    pipeline: Pipeline,
    files: Given,
    recipes: dict[int, Recipe],
    refused: dict[Prompt, RecipeError],
) -> None:
    """Draw and write all pictures; the first fault is raised at the end, after the others."""
    folder = make_folder(Path(str(cfg.output)))
    shown: list[tuple[np.ndarray, str]] = []
    written: list[dict[str, Any]] = []
    faults, renamed = [], []
    wanted = (
        ImageSpec(recipe, files.image, files.mask, _probe(cfg, pipeline, recipe))
        for recipe in recipes.values()
    )
    at_once = 2 * cfg.serve.rows
    with Engine(pipeline, rows=cfg.serve.rows, waiting=at_once, adapters=files.adapters) as engine:
        numbered = zip(recipes, draw_all(engine, wanted, at_once), strict=True)
        for number, drawn in progress(numbered, "drawing", len(recipes)):
            name = file_name(number, max(recipes), drawn.recipe)
            try:
                rgb_HWC = drawn.picture()
                notes = pipeline.notes(drawn.recipe)
                path = _write_picture(folder / f"{name}.png", rgb_HWC, drawn, notes)
            except TriptychError as fault:
                if fault.code in _NO_ROOM:
                    raise
                faults.append(fault)
                continue
            if path.stem != name:
                renamed.append(path.name)
            written.append({"file": path.name, "recipe": drawn.recipe.as_json()})
            if len(shown) < _ON_SHEET:
                shown.append((rgb_HWC, f"{drawn.recipe.prompt}\nseed {drawn.recipe.seed}"))
    summary = _summary(cfg, shown, written) | _refused_csv(cfg, refused)
    renamed += [path.name for path in write_together(folder, summary) if path.name not in summary]
    if renamed:
        print_note(
            f"{len(renamed)} files carry a digest in their names, since output= holds other results under the plain "
            f"names: {', '.join(renamed[:_NAMED])}{', …' if len(renamed) > _NAMED else ''}"
        )
    if faults:
        raise faults[0]


def _write_picture(path: Path, rgb_HWC: np.ndarray, drawn: ImageResult, notes: Sequence[str]) -> Path:
    """Write a picture, and its attention where that was asked for; return the picture's path."""
    mark = drawn.recipe.mark
    written = write_new(path, png_bytes(rgb_HWC, drawn.recipe, notes), mark)
    _write_attention(written, rgb_HWC, drawn, mark)
    return written


def _summary(
    cfg: ImagegenConfig, shown: Sequence[tuple[np.ndarray, str]], written: Sequence[dict[str, Any]]
) -> dict[str, bytes | None]:
    """Return what is written beside the pictures, by name."""
    sheet = None
    if shown:
        columns = cfg.n if 1 < cfg.n <= _COLUMNS and cfg.n < len(shown) else None
        rgbs, captions = zip(*shown, strict=True)
        sheet = sheet_png(rgbs, captions, columns)
    return {"sheet.png": sheet, "pictures.json": json_text(list(written)).encode("utf-8", "backslashreplace")}


def _probe(cfg: ImagegenConfig, pipeline: Pipeline, recipe: Recipe) -> AttentionProbe | None:
    words = (
        words_of(pipeline.tokenizer, recipe.prompt, recipe.text_chunks) if cfg.probes == "attention" else ()
    )
    latent_hw = (recipe.height // pipeline.factor, recipe.width // pipeline.factor)
    return AttentionProbe(words, latent_hw) if words else None


def _write_attention(beside: Path, rgb_HWC: np.ndarray, drawn: ImageResult, mark: str) -> None:
    probe = drawn.spec.probe
    if isinstance(probe, AttentionProbe):
        words = [word.text for word in probe.words]
        data = attention_png(rgb_HWC, drawn.recipe.prompt, words, probe.maps_SWhw().cpu().numpy())
        write_new(beside.with_name(f"{beside.stem}_attention.png"), data, mark)


def _refused_csv(cfg: ImagegenConfig, refused: dict[Prompt, RecipeError]) -> dict[str, bytes | None]:
    """Return refused.csv by its name, None where nothing was refused."""
    rows = [
        (prompt.line, fault.code, fault.sentence, printable(prompt.text)[:_QUOTED])
        for prompt, fault in refused.items()
    ]
    data = (
        csv_text(REFUSED, rows).encode("utf-8", "backslashreplace")
        if rows and cfg.prompts is not None
        else None
    )
    return {"refused.csv": data}


def _replay(
    cfg: ImagegenConfig, run: Run, pipeline: Pipeline, recipe: Recipe, source: bytes, began: float
) -> int:
    """Draw the picture of a PNG's recipe again, beside the given file under its name, and compare the bytes."""
    path = Path(str(cfg.replay))
    target = make_folder(Path(str(cfg.output))) / path.name
    if target.exists() and target.samefile(path):
        raise OUTPUT("output_is_replay", folder=cfg.output, path=path)
    _check_same_files(cfg, recipe)
    whole = pipeline.resolve(replace(recipe, strength=None, image_sha256=None, mask_sha256=None))
    files = _given(cfg, pipeline, replace(whole, image_sha256=recipe.image_sha256))
    here = complete_recipe(
        pipeline, files.adapters, replace(recipe, adapter=files.adapter), files.image, files.mask
    )
    wanted = ImageSpec(here, files.image, files.mask, _probe(cfg, pipeline, here))
    ready = time.monotonic()
    with Engine(pipeline, rows=cfg.serve.rows, adapters=files.adapters) as engine:
        (drawn,) = draw_all(engine, [wanted], 1)
        rgb_HWC = drawn.picture()
    data = same_kind(source, rgb_HWC, recipe, pipeline.notes(here))
    target = write_new(target, data, recipe.mark)
    _write_attention(target, rgb_HWC, drawn, recipe.mark)
    if target.name != path.name:
        print_note(f"output= holds another {path.name}: what was drawn is {target.name}")
    same = hashlib.sha256(data).digest() == hashlib.sha256(source).digest()
    run.write_metrics(
        {
            "sha256": hashlib.sha256(data).hexdigest(),
            "same": same,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(time.monotonic() - ready, 3),
        }
    )
    if not same:
        raise _difference(source, data, target)
    return ExitCode.DONE


def _check_same_files(cfg: ImagegenConfig, recipe: Recipe) -> None:
    """Raise InputError where the command line names other files than the recipe: which ones, `resolve` compares."""
    for field, used in (
        ("image", recipe.image_sha256),
        ("mask", recipe.mask_sha256),
        ("adapter", recipe.adapter),
    ):
        if (getattr(cfg, field) is None) != (used is None):
            raise REPLAY(
                "replay_file_unused" if used is None else "replay_file_missing", path=cfg.replay, field=field
            )


def _difference(source: bytes, data: bytes, drawn: Path) -> InputError:
    given_HWC, rgb_HWC = pixels_of(source), pixels_of(data)
    if given_HWC.shape != rgb_HWC.shape:
        return REPLAY("replay_size_differs", drawn=drawn)
    most = int(np.abs(given_HWC.astype(int) - rgb_HWC.astype(int)).max())
    if most == 0:
        return REPLAY("replay_file_differs", drawn=drawn)
    return REPLAY("replay_differs", most=most, drawn=drawn)
