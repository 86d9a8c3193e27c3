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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.imagegen.config import ImagegenConfig, size_of
from apps.imagegen.data.prompts import Prompt, read_prompts
from apps.imagegen.data.recipe import Recipe, seeds
from apps.imagegen.errors import RecipeError
from apps.imagegen.models.given import read_file
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.runtime import on_artifacts
from apps.imagegen.picture_files import PictureFiles, mark_without_pictures, write_picture
from apps.imagegen.pictures import ROWS, Inputs, Picture, Replayed, pictures_of, prepare, replay, strength_of
from apps.imagegen.reasons import INPUT, OUTPUT, REPLAY
from apps.imagegen.report.recipe_files import pixels_of, recipe_of
from core.errors import ExitCode, InputError, OutputError, TriptychError
from core.runs.files import make_folder
from core.runs.folder import Run
from core.runs.quarantine import FOLDER, Quarantine
from core.terminal.notes import print_note
from core.terminal.progress import progress

_NAMED = 3  # files that a notice names
_LINE = re.compile(r"line-\d{4,}")


@dataclass(frozen=True, eq=False)
class Generation:
    """Prompts that are checked and ready to be drawn.

    inputs: what all pictures share. recipes: whole ones, by the number of their picture from 1 on; refused prompts have
    numbers too. refused: prompts that cannot be drawn, and why. notes: sentences on what of the request is not
    followed. rows: of the engine's batches.
    """

    inputs: Inputs
    recipes: Mapping[int, Recipe]
    refused: Mapping[Prompt, RecipeError]
    notes: tuple[str, ...]
    rows: int = ROWS

    def pictures(self) -> Iterator[tuple[int, Picture | TriptychError]]:
        """Draw, and yield each number with its picture, or with the error that kept it from being drawn, in order.

        One picture is held at a time beside those that the engine draws, however many there are.
        """
        drawn = pictures_of(self.inputs, self.recipes.values(), self.rows)
        yield from zip(self.recipes, drawn, strict=True)


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Draw into `cfg.output`; return 4 where a prompt was refused and others were drawn, else 0.

    The same call again writes the same bytes. Raises InputError where nothing can be drawn, or where the picture of
    replay= came out differently (replay_differs; what was drawn is left in the output).
    """
    began = time.monotonic()
    if cfg.replay is not None:
        return _replay(cfg, run, Path(cfg.replay), began)
    generation = generate(cfg)
    for note in generation.notes:
        print_note(note)
    output, refused = Path(str(cfg.output)), generation.refused
    if not generation.recipes:
        first, fault = next(iter(refused.items()))
        if cfg.prompts is None:
            raise fault
        _set_aside(cfg, make_folder(output), refused, mark_without_pictures(output))
        raise INPUT("prompts_refused", count=len(refused), line=first.line, first=fault.sentence)
    ready = time.monotonic()
    _write(cfg, generation, output)
    seconds = time.monotonic() - ready
    pictures = len(generation.recipes)
    code = ExitCode.QUARANTINED if refused else ExitCode.DONE
    run.write_metrics(
        {
            "pictures": pictures,
            "refused": len(refused),
            "model": generation.inputs.pipeline.digest,
            "seconds_model": round(ready - began, 3),
            "seconds_drawing": round(seconds, 3),
            "seconds_picture": round(seconds / pictures, 4),
            "exit_code": int(code),
        }
    )
    run.log.event("generated", items=pictures, quarantined=len(refused), seconds=round(seconds, 3))
    return code


def generate(cfg: ImagegenConfig, pipeline: Pipeline | None = None) -> Generation:
    """Read and check what stage=generate is asked to draw; the result draws it.

    pipeline: None loads that of cfg.weights. A prompt that cannot be drawn is refused and stops no other; raises
    InputError for a file that cannot be read, RecipeError, PictureError and AdapterError for what no prompt can be
    drawn with. For pictures in memory, without a config: `apps.imagegen.draw`.

    >>> from apps.imagegen.config import ImagegenConfig
    >>> generation = generate(ImagegenConfig("generate", prompt="red apple", n=2, steps=2, seed=7))
    >>> [(number, picture.recipe.seed) for number, picture in generation.pictures()]
    [(1, 7), (2, 8)]
    """
    prompts = read_prompts(Path(cfg.prompts)) if cfg.prompts is not None else [Prompt(str(cfg.prompt))]
    image, mask = _file(cfg.image, "image"), _file(cfg.mask, "mask")
    inputs = prepare(
        pipeline or _pipeline(cfg),
        _recipe(cfg),
        image,
        mask,
        adapter=cfg.adapter,
        fit=cfg.fit,
        attention=cfg.probes == "attention",
    )
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
    notes = [inputs.files.note] if inputs.files.note else []
    notes += _notes(cut, lines=cfg.prompts is not None)
    return Generation(inputs, recipes, refused, tuple(notes), cfg.serve.rows)


def _pipeline(cfg: ImagegenConfig) -> Pipeline:
    device = cfg.model.device if cfg.artifacts is None else "cpu"
    pipeline = load_pipeline(Path(cfg.weights) if cfg.weights else None, device)
    if cfg.artifacts is not None:
        pipeline = on_artifacts(pipeline, Path(cfg.artifacts), cfg.runtime)
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


def _notes(cut: Mapping[int, str], *, lines: bool) -> list[str]:
    """Return what is said of prompts that are read in part, by line. lines: whether sentences name the line."""
    notes = [
        f"line {line}: {sentence}" if lines else sentence for line, sentence in list(cut.items())[:_NAMED]
    ]
    if len(cut) > _NAMED:
        notes.append(f"so it is with {len(cut) - _NAMED} more prompts")
    return notes


def _write(cfg: ImagegenConfig, generation: Generation, output: Path) -> None:
    """Draw and write all pictures; the first fault is raised at the end, after the others."""
    files, faults = PictureFiles(output, max(generation.recipes)), []
    for number, picture in progress(generation.pictures(), "drawing", len(generation.recipes)):
        if isinstance(picture, TriptychError):
            faults.append(picture)
            continue
        try:
            files.add(number, picture)
        except OutputError:
            raise
        except TriptychError as fault:
            faults.append(fault)
    summary = files.finish(cfg.n)
    _set_aside(cfg, output, generation.refused, summary.mark)
    if renamed := summary.renamed:
        print_note(
            f"{len(renamed)} files carry a digest in their names, since output= holds other results under the plain "
            f"names: {', '.join(renamed[:_NAMED])}{', …' if len(renamed) > _NAMED else ''}"
        )
    if faults:
        raise faults[0]


def _set_aside(
    cfg: ImagegenConfig,
    folder: Path,
    refused: Mapping[Prompt, RecipeError],
    mark: str,
) -> None:
    """Write why prompts of a file were refused, and remove what an earlier run of it wrote of others.

    mark: digest in the names of sheet and list, which the folder's name carries too.
    """
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
    target = write_picture(target, again.file, again.picture)
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
