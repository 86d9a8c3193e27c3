"""stage=personalise: an adapter (LoRA) that draws the style or thing of 5 to 20 pictures at its word.

output/
├── sketch-style.safetensors   the adapter, named by its word; diffusers' load_lora_weights takes it too
├── sketch-style.png           the same prompts before and after, and after without the word
└── quarantine/                pictures that could not be used, and why

Where the folder holds another adapter of that name (other words can give the same one), a digest of its content joins
the names of both files and of the folder.

What the model draws of the captions beforehand is kept in the run folder and taught again beside the new pictures, so
that it goes on drawing that without the word (prior preservation: Ruiz et al. 2022, arXiv:2208.12242).
Legend: N pictures, K texts of one, P prior pictures, L latent channels, h, w of latents, T tokens, D of their states.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.new_files import mark_of, write_new
from apps.imagegen.data.own_pictures import (
    OwnPicture,
    OwnSamples,
    Refused,
    check_token,
    class_prompt,
    read_own_pictures,
    texts_with,
)
from apps.imagegen.data.pictures import everyday_prompts
from apps.imagegen.data.prompts import stem_of
from apps.imagegen.data.recipe import Recipe, with_seed
from apps.imagegen.models.adapter_file import SUFFIX, write_adapter
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.autoencoder import encode
from apps.imagegen.models.drawing import ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.lora_learning import Personalising, add_adapter, take_adapter
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.schedulers import new_scheduler
from apps.imagegen.reasons import OWN_PICTURES
from apps.imagegen.report.sheet import sheet_png
from core.errors import ExitCode
from core.runs.arrays import read_arrays, write_arrays
from core.runs.files import make_folder, write_bytes
from core.runs.folder import Run
from core.runs.outputs import output_error
from core.runs.quarantine import Quarantine
from core.runs.training import Checkpoints, Source, Training
from core.terminal.notes import print_note
from core.terminal.progress import progress
from core.training.digests import arrays_digest, weights_digest
from core.training.fit import Fitted, fit

# options that decide what is trained, and what the model draws beforehand
DECIDING = ("seed", "token", "steps", "guidance", "scheduler", "personalise", "trainer")
_AT_ONCE = 32  # pictures that the engine is given at a time
_OWN_ON_SHEET, _ON_SHEET = 4, 8


@dataclass(frozen=True, eq=False)
class Personalised:
    """An adapter and what it was made of.

    data: its safetensors file. sheet: the contact sheet, a PNG. token: the word that calls for it. digest: SHA-256 of
    data. pictures: what it was trained on. refused: pictures that could not be used. prior: how many pictures the model
    drew of the captions. seconds_prior: before the training, seconds_learning: of the training.
    """

    data: bytes
    sheet: bytes
    token: str
    digest: str
    pictures: tuple[OwnPicture, ...]
    refused: tuple[Refused, ...]
    prior: int
    fitted: Fitted
    seconds_prior: float
    seconds_learning: float


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Train an adapter into `cfg.output`; return 4 where a picture was set aside, else 0.

    A run that was cut off is resumed by the same command with the same run_dir. Raises as `personalise` does, and
    OutputError where the output cannot be written.
    """
    began = time.monotonic()
    output = Path(str(cfg.output))
    check_token(str(cfg.token))
    _check_writable(output)
    result = personalise(cfg, run)
    path = write(result, output)
    if path.stem != stem_of(result.token):
        print_note(f"output= holds another {stem_of(result.token)}{SUFFIX}: what was trained is {path.name}")
    code = ExitCode.QUARANTINED if result.refused else ExitCode.DONE
    run.write_metrics(
        {
            "pictures": len(result.pictures),
            "refused": len(result.refused),
            "prior_pictures": result.prior,
            "steps": result.fitted.steps,
            "loss": result.fitted.loss,
            "adapter": result.digest,
            "adapter_mb": round(len(result.data) / 1e6, 3),
            "seconds_prior": round(result.seconds_prior, 3),
            "seconds_learning": round(result.seconds_learning, 3),
            "seconds": round(time.monotonic() - began, 3),
            "exit_code": int(code),
        }
    )
    return code


def personalise(cfg: ImagegenConfig, run: Run, pipeline: Pipeline | None = None) -> Personalised:
    """Train an adapter on the pictures of cfg.images, and draw its contact sheet; the pipeline is as before then.

    pipeline: None loads that of cfg.weights. The run folder keeps the prior pictures and checkpoints, and a training
    that was cut off goes on from them. Raises InputError as `load_pipeline` and `read_own_pictures` do,
    token_unreadable and token_too_long; ConfigError where the run folder holds a training with other settings,
    pictures or another model.
    """
    token = check_token(str(cfg.token))
    training = Training(run, cfg, DECIDING)
    pipeline = pipeline or _pipeline(cfg)
    began = time.monotonic()
    pictures, refused = read_own_pictures(Path(str(cfg.images)), pipeline.own_size)
    _check_length(pipeline, token)
    model = weights_digest(pipeline.unet.state_dict())
    checkpoints = training.begin(
        {
            "images": Source(cfg.images, _digest_of(pictures)),
            "weights": Source(cfg.weights, pipeline.digest),
        }
    )
    prompts = _sheet_prompts(pictures, token)
    with Engine(pipeline) as engine:
        prior = _prior(cfg, run, engine, [class_prompt(one.caption, token) for one in pictures])
        before = _draw(
            engine, [_recipe(cfg, f"{one}, {token}", n) for n, one in enumerate(prompts)], "before"
        )
    drawn = time.monotonic()
    samples = _samples(cfg, pipeline, pictures, prior, token)
    header = {
        "model": model,
        "token": token,
        "rank": str(cfg.personalise.rank),
        "pictures": str(len(pictures)),
    }
    data, fitted = _train(cfg, run, pipeline, samples, header, checkpoints / "adapter")
    learned = time.monotonic()
    return Personalised(
        data,
        _sheet(cfg, pipeline, data, token, prompts, before),
        token,
        hashlib.sha256(data).hexdigest(),
        tuple(pictures),
        tuple(refused),
        prior=len(prior["text"]),
        fitted=fitted,
        seconds_prior=drawn - began,
        seconds_learning=learned - drawn,
    )


def write(result: Personalised, output: Path) -> Path:
    """Write an adapter, its contact sheet and what was set aside; return the adapter's path. No other is replaced.

    Raises InputError output_taken, and OutputError output_unwritable and output_full.
    """
    mark, plain = mark_of(result.data), stem_of(result.token)
    path = write_new(output / f"{plain}{SUFFIX}", result.data, mark)
    write_new(output / f"{path.stem}.png", result.sheet, mark)
    _set_aside(path, plain, result.refused, result.pictures)
    return path


def _pipeline(cfg: ImagegenConfig) -> Pipeline:
    pipeline = load_pipeline(Path(cfg.weights) if cfg.weights else None, cfg.model.device)
    for caution in pipeline.cautions:
        print_note(caution)
    return pipeline


def _sheet(
    cfg: ImagegenConfig,
    pipeline: Pipeline,
    data: bytes,
    token: str,
    prompts: Sequence[str],
    before: Sequence[np.ndarray],
) -> bytes:
    """Draw the prompts with the adapter of a file's bytes, and return the contact sheet, a PNG.

    before: what the model drew of them with the word, (H, W, 3) uint8 each.
    """
    name = stem_of(token)
    worded = [f"{one}, {token}" for one in prompts]
    recipes = [
        replace(_recipe(cfg, text, n), adapter=name)
        for texts in (worded, prompts)
        for n, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_bytes(Path(folder) / f"{name}{SUFFIX}", data)
        with Engine(pipeline, adapters=AdapterCache(Path(folder), pipeline)) as engine:
            after = _draw(engine, recipes, "after")
    notes = ["before", "after", "after, without the word"]
    captions = [
        f"{text}\n{note}"
        for note, texts in zip(notes, (worded, worded, prompts), strict=True)
        for text in texts
    ]
    return sheet_png([*before, *after], captions, len(prompts), title=token)


def _check_writable(output: Path) -> None:
    """Raise InputError where nothing can be written: before the work, not after it."""
    try:
        with tempfile.TemporaryFile(dir=make_folder(output)):
            pass
    except OSError as error:
        raise output_error(error, output) from error


def _check_length(pipeline: Pipeline, token: str) -> None:
    """Raise InputError where the text encoder does not see the whole word, and one more."""
    count, most = len(pipeline.tokenizer(f"{token}, a").input_ids), int(pipeline.tokenizer.model_max_length)
    if count > most:
        raise OWN_PICTURES("token_too_long", token=ascii(token), count=count, most=most)


def _sheet_prompts(pictures: Sequence[OwnPicture], token: str) -> list[str]:
    """Return some of the captions, and everyday prompts that are not among them."""
    own = list(dict.fromkeys(class_prompt(one.caption, token) for one in pictures))
    others = [row["prompt"] for row in everyday_prompts() if row["prompt"] not in own]
    first = own[:_OWN_ON_SHEET]
    return [*first, *others[: _ON_SHEET - len(first)]]


def _recipe(cfg: ImagegenConfig, prompt: str, n: int) -> Recipe:
    first = Recipe(prompt, seed=cfg.seed, steps=cfg.steps, guidance=cfg.guidance, scheduler=cfg.scheduler)
    return with_seed(first, n)


def _draw(engine: Engine, recipes: Iterable[Recipe], what: str) -> list[np.ndarray]:
    specs = [ImageSpec(engine.pipeline.resolve(recipe)) for recipe in recipes]
    results = draw_all(engine, specs, _AT_ONCE)
    return [one.picture() for one in progress(results, f"pictures {what}", len(specs))]


def _prior(cfg: ImagegenConfig, run: Run, engine: Engine, prompts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return prompts and what the model draws of them, "text" and "rgb" (P, H, W, 3) uint8; drawn once of a run."""
    recipes = [
        engine.pipeline.resolve(_recipe(cfg, prompts[n % len(prompts)], n))
        for n in range(cfg.personalise.prior_pictures)
    ]
    whole = json.dumps([recipe.as_json() for recipe in recipes], sort_keys=True)
    mark = hashlib.sha256(whole.encode()).hexdigest()
    path = run.path / "prior.npz"
    kept = read_arrays(path)
    if kept is None or str(kept["mark"]) != mark:
        width, height = engine.pipeline.own_size
        drawn = _draw(engine, recipes, "of the model's own")
        rgb_PHWC = np.stack(drawn) if drawn else np.zeros((0, height, width, 3), np.uint8)
        kept = {
            "text": np.array([recipe.prompt for recipe in recipes], str),
            "rgb": rgb_PHWC,
            "mark": np.array(mark),
        }
        if run.rank == 0:
            write_arrays(path, kept)
    return kept


def _samples(
    cfg: ImagegenConfig,
    pipeline: Pipeline,
    pictures: Sequence[OwnPicture],
    prior: dict[str, np.ndarray],
    token: str,
) -> OwnSamples:
    texts_NK = [_seen(pipeline, texts_with(one.caption, token), token) for one in pictures]
    own_NLhw = encode(pipeline.vae, torch.from_numpy(np.stack([one.rgb_HWC for one in pictures])))
    rgb_PHWC = torch.from_numpy(prior["rgb"])
    return OwnSamples(
        own_NLhw=own_NLhw.numpy(),
        own_state_NKTD=[_states(pipeline, texts) for texts in texts_NK],
        prior_PLhw=encode(pipeline.vae, rgb_PHWC).numpy() if len(rgb_PHWC) else own_NLhw[:0].numpy(),
        prior_state_PTD=_states(pipeline, [*prior["text"].tolist(), ""])[:-1],
        empty_TD=_states(pipeline, [""])[0],
        prior_weight=cfg.personalise.prior_weight,
    )


def _seen(pipeline: Pipeline, texts: Sequence[str], token: str) -> list[str]:
    """Return those texts of a picture whose token the text encoder sees: it cuts long ones off at their end."""
    most = int(pipeline.tokenizer.model_max_length)
    return [one for one in texts if one.startswith(token) or len(pipeline.tokenizer(one).input_ids) <= most]


def _states(pipeline: Pipeline, texts: Sequence[str]) -> np.ndarray:
    """Return the states of texts, (N, T, D) float16."""
    with torch.inference_mode():
        return pipeline.states(texts).half().numpy()


def _digest_of(pictures: Sequence[OwnPicture]) -> str:
    captions = np.array([one.caption for one in pictures], str)
    return arrays_digest([captions, *(one.rgb_HWC for one in pictures)])


def _train(
    cfg: ImagegenConfig,
    run: Run,
    pipeline: Pipeline,
    samples: OwnSamples,
    header: dict[str, str],
    checkpoints: Checkpoints,
) -> tuple[bytes, Fitted]:
    """Return the adapter's file; the pipeline is as before then."""
    noise = pipeline.scheduler_config
    alpha_S = new_scheduler("ddim", noise).alphas_cumprod
    add_adapter(pipeline.unet, cfg.personalise.rank, cfg.seed)
    try:
        module = Personalising(
            pipeline.unet, alpha_S, str(noise.get("prediction_type", "epsilon")), cfg.trainer
        )
        fitted = fit(module, samples.draw, cfg.trainer, checkpoints, run.log, cfg.seed)
    finally:
        updates = take_adapter(pipeline.unet)
    return write_adapter(
        updates, {"format": "1", "name": pipeline.name, "steps": str(fitted.steps), **header}
    ), fitted


def _set_aside(adapter: Path, plain: str, refused: Sequence[Refused], used: Sequence[OwnPicture]) -> None:
    """Write why pictures were set aside, and remove what an earlier run of this adapter wrote of others.

    Beside another adapter, whose pictures they may be, only those that can be used by now are removed.
    """
    output = adapter.parent
    quarantine = Quarantine(output / f"quarantine{adapter.stem.removeprefix(plain)}")
    for other in refused:
        quarantine.add(_plain(other.file), other.code, other.sentence, [_plain(other.file)])
    kept = {_plain(other.file) for other in refused}
    earlier = {path.stem for path in quarantine.folder.glob("*.json")}
    alone = [path.name for path in output.glob(f"*{SUFFIX}")] == [adapter.name]
    gone = earlier if alone else earlier & {_plain(one.file) for one in used}
    for name in sorted(gone - kept):
        quarantine.release(name)


def _plain(file: str) -> str:
    return file.encode("utf-8", "backslashreplace").decode()[:150]
