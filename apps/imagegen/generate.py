"""stage=generate: prompts to PNG files that hold their recipe, and a contact sheet; or one such file drawn again.

output/
├── 001_red-apple_seed-7.png             each picture as soon as it is done
├── 001_red-apple_seed-7_attention.png   with probes=attention
├── sheet.png                            the first of them, with captions
├── pictures.json                        files and their recipes
└── quarantine/line-0003.json            a prompt of prompts= that cannot be drawn, and why

No file of another content is replaced: a picture's name then ends in a digest of its recipe, those of sheet.png,
pictures.json and quarantine/ in one of their content.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.imagegen.config import ImagegenConfig, size_of
from apps.imagegen.data.new_files import mark_needed, write_new, write_together
from apps.imagegen.data.prompts import Prompt, read_prompts, stem_of
from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.errors import RecipeError
from apps.imagegen.models.given import read_file
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.pictures import Inputs, Picture, Replayed, pictures_of, prepare, replay, strength_of
from apps.imagegen.reasons import INPUT, OUTPUT, REPLAY
from apps.imagegen.report.recipe_files import pixels_of, recipe_of
from apps.imagegen.report.sheet import sheet_png
from core.errors import ExitCode, InputError, OutputError, TriptychError
from core.runs.files import json_text, make_folder
from core.runs.folder import Run
from core.runs.quarantine import FOLDER, Quarantine
from core.terminal.notes import print_note
from core.terminal.progress import progress

_ON_SHEET = 64  # pictures
_COLUMNS = 8
_NAMED = 3  # files that a notice names
_LINE = re.compile(r"line-\d{4,}")
_NO_PICTURES: dict[str, bytes | None] = {"sheet.png": None, "pictures.json": None}


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Draw into `cfg.output`; return 4 where a prompt was refused and others were drawn, else 0.

    The same call again writes the same bytes. Raises InputError where nothing can be drawn, or where the picture of
    replay= came out differently (replay_differs; what was drawn is left in the output).
    """
    began = time.monotonic()
    if cfg.replay is not None:
        return _replay(cfg, run, Path(cfg.replay), began)
    prompts = read_prompts(Path(cfg.prompts)) if cfg.prompts is not None else [Prompt(str(cfg.prompt))]
    image, mask = _file(cfg.image, "image"), _file(cfg.mask, "mask")
    pipeline = _pipeline(cfg)
    inputs = prepare(
        pipeline,
        _recipe(cfg),
        image,
        mask,
        adapter=cfg.adapter,
        fit=cfg.fit,
        attention=cfg.probes == "attention",
    )
    if inputs.files.note:
        print_note(inputs.files.note)
    recipes, refused = _recipes(cfg, inputs, prompts)
    if not recipes:
        first, fault = next(iter(refused.items()))
        if cfg.prompts is None:
            raise fault
        _set_aside(cfg, make_folder(Path(str(cfg.output))), refused, _NO_PICTURES)
        raise INPUT("prompts_refused", count=len(prompts), line=first.line, first=fault.sentence)
    ready = time.monotonic()
    _draw(cfg, inputs, recipes, refused)
    seconds = time.monotonic() - ready
    code = ExitCode.QUARANTINED if refused else ExitCode.DONE
    run.write_metrics(
        {
            "pictures": len(recipes),
            "refused": len(refused),
            "model": pipeline.digest,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(seconds, 3),
            "seconds_picture": round(seconds / len(recipes), 4),
            "exit_code": int(code),
        }
    )
    run.log.event("generated", items=len(recipes), quarantined=len(refused), seconds=round(seconds, 3))
    return code


def file_name(number: int, count: int, recipe: Recipe) -> str:
    """Return the name of a picture's file, without ending: names of one run sort in its order and can be read."""
    digits = max(3, len(str(count)))
    return f"{number:0{digits}d}_{stem_of(recipe.prompt)}_seed-{recipe.seed}"


def _pipeline(cfg: ImagegenConfig) -> Pipeline:
    pipeline = load_pipeline(Path(cfg.weights) if cfg.weights else None, cfg.model.device)
    for caution in pipeline.cautions:
        print_note(caution)
    return pipeline


def _file(path: str | None, field: str) -> bytes | None:
    return None if path is None else read_file(Path(path), field)


def _recipe(cfg: ImagegenConfig) -> Recipe:
    """Return what all pictures have in common, without prompt and adapter."""
    width, height = size_of(cfg.size)
    image, mask = cfg.image is not None, cfg.mask is not None
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
        strength=strength_of(cfg.strength, image=image, mask=mask) if image else None,
    )


def _recipes(
    cfg: ImagegenConfig, inputs: Inputs, prompts: Sequence[Prompt]
) -> tuple[dict[int, Recipe], dict[Prompt, RecipeError]]:
    """Return whole recipes by their number, which counts what is refused too, and the prompts that are refused."""
    recipes: dict[int, Recipe] = {}
    refused: dict[Prompt, RecipeError] = {}
    cut: dict[int, str] = {}
    for index, prompt in enumerate(prompts):
        try:
            whole = inputs.complete(prompt.text)
        except RecipeError as fault:
            if fault.param != "prompt":
                raise
            refused[prompt] = fault
            continue
        recipes.update(enumerate(seeds(whole, cfg.n), index * cfg.n + 1))
        if sentences := inputs.pipeline.notes(whole):
            cut[prompt.line] = "; ".join(sentences)
    for line, sentence in list(cut.items())[:_NAMED]:
        print_note(f"line {line}: {sentence}" if cfg.prompts is not None else sentence)
    if len(cut) > _NAMED:
        print_note(f"so it is with {len(cut) - _NAMED} more prompts")
    return recipes, refused


def _draw(
    cfg: ImagegenConfig, inputs: Inputs, recipes: dict[int, Recipe], refused: Mapping[Prompt, RecipeError]
) -> None:
    """Draw and write all pictures; the first fault is raised at the end, after the others."""
    folder = make_folder(Path(str(cfg.output)))
    shown: list[tuple[np.ndarray, str]] = []
    written: list[dict[str, Any]] = []
    faults, renamed = [], []
    numbered = zip(recipes, pictures_of(inputs, recipes.values(), cfg.serve.rows), strict=True)
    for number, picture in progress(numbered, "drawing", len(recipes)):
        if isinstance(picture, TriptychError):
            faults.append(picture)
            continue
        name = file_name(number, max(recipes), picture.recipe)
        try:
            path = _write(folder / f"{name}.png", picture.png, picture)
        except OutputError:
            raise
        except TriptychError as fault:
            faults.append(fault)
            continue
        if path.stem != name:
            renamed.append(path.name)
        written.append({"file": path.name, "recipe": picture.recipe.as_json()})
        if len(shown) < _ON_SHEET:
            shown.append((picture.rgb_HWC, f"{picture.recipe.prompt}\nseed {picture.recipe.seed}"))
    summary = _summary(cfg, shown, written)
    renamed += [path.name for path in write_together(folder, summary) if path.name not in summary]
    _set_aside(cfg, folder, refused, summary)
    if renamed:
        print_note(
            f"{len(renamed)} files carry a digest in their names, since output= holds other results under the plain "
            f"names: {', '.join(renamed[:_NAMED])}{', …' if len(renamed) > _NAMED else ''}"
        )
    if faults:
        raise faults[0]


def _write(path: Path, data: bytes, picture: Picture) -> Path:
    """Write a picture's file, and its attention where that was asked for; return the picture's path."""
    mark = picture.recipe.mark
    written = write_new(path, data, mark)
    if picture.attention_png is not None:
        write_new(written.with_name(f"{written.stem}_attention.png"), picture.attention_png, mark)
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


def _set_aside(
    cfg: ImagegenConfig,
    folder: Path,
    refused: Mapping[Prompt, RecipeError],
    summary: Mapping[str, bytes | None],
) -> None:
    """Write why prompts of a file were refused, and remove what an earlier run of it wrote of others."""
    mark = mark_needed(folder, summary)
    quarantine = Quarantine(folder / (f"{FOLDER}_{mark}" if mark else FOLDER))
    names = {prompt: f"line-{prompt.line:04d}" for prompt in refused}
    for prompt, fault in refused.items():
        quarantine.add(names[prompt], fault.code, fault.sentence, [Path(str(cfg.prompts)).name])
    earlier = {path.stem for path in quarantine.folder.glob("*.json") if _LINE.fullmatch(path.stem)}
    for name in sorted(earlier - set(names.values())):
        quarantine.release(name)


def _replay(cfg: ImagegenConfig, run: Run, path: Path, began: float) -> int:
    """Draw the picture of a file's recipe again, beside the given file under its name, and compare the bytes."""
    source = read_file(path, "replay")
    recipe_of(source)  # a file without one is refused before the model is loaded
    pipeline = _pipeline(cfg)
    target = make_folder(Path(str(cfg.output))) / path.name
    if target.exists() and target.samefile(path):
        raise OUTPUT("output_is_replay", folder=cfg.output, path=path)
    ready = time.monotonic()
    again = replay(
        path,
        pipeline=pipeline,
        image=cfg.image,
        mask=cfg.mask,
        adapter=cfg.adapter,
        attention=cfg.probes == "attention",
    )
    if again.note:
        print_note(again.note)
    target = _write(target, again.file, again.picture)
    if target.name != path.name:
        print_note(f"output= holds another {path.name}: what was drawn is {target.name}")
    run.write_metrics(
        {
            "sha256": hashlib.sha256(again.file).hexdigest(),
            "same": again.same,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(time.monotonic() - ready, 3),
        }
    )
    if not again.same:
        raise _difference(source, again, target)
    return ExitCode.DONE


def _difference(source: bytes, again: Replayed, drawn: Path) -> InputError:
    given_HWC, rgb_HWC = pixels_of(source), pixels_of(again.file)
    if given_HWC.shape != rgb_HWC.shape:
        return REPLAY("replay_size_differs", drawn=drawn)
    most = int(np.abs(given_HWC.astype(int) - rgb_HWC.astype(int)).max())
    if most == 0:
        return REPLAY("replay_file_differs", drawn=drawn)
    return REPLAY("replay_differs", most=most, drawn=drawn)
