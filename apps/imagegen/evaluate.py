"""stage=evaluate: how good a pipeline's pictures are, by a protocol that is fixed here and not by options.

output/
├── metrics.json   figures with 95 % intervals, the references measured beside them, and the protocol in sentences
├── sheet.png      the everyday prompts (data/everyday.csv), a picture each
└── report.html    the same for a person

Legend: N pictures, H rows, W columns, C channels, F features, K prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.pictures import HELD_OUT, TRAIN, Picture, PictureSet, everyday_prompts
from apps.imagegen.data.recipe import Recipe, with_seed
from apps.imagegen.metrics.caption_match import chance_among, match, shuffled, wins
from apps.imagegen.metrics.estimate import estimate
from apps.imagegen.metrics.kid import kid
from apps.imagegen.metrics.reconstruction import mean_psnr, psnr_of_each
from apps.imagegen.models.autoencoder import decode, encode
from apps.imagegen.models.drawing import ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.inception import NETWORK
from apps.imagegen.models.inception import WIDTH as FEATURES
from apps.imagegen.models.judges import Judges, load_judges
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.report.page import Shown, evaluation_page
from apps.imagegen.report.sheet import sheet_png
from core.errors import ExitCode
from core.runs.files import make_folder, write_bytes, write_json, write_text
from core.runs.folder import Run
from core.terminal.progress import progress

PROMPTS = 16
PROTOCOL = (
    (
        "Held-out pictures lie on the other side of a split by what a picture shows, whoever shows it and in whichever "
        "colour; neither the pipeline nor the scorer has seen one."
    ),
    (
        "Autoencoder: peak signal-to-noise ratio of each held-out picture as drawn, through the latents' means and "
        "back; the mean over pictures."
    ),
    (
        f"KID (Bińkowski et al. 2018) on the {FEATURES} pooled features of {NETWORK}: it is neither the standard FID "
        "nor the standard KID, and compares with figures on the same network only. Half of the pictures are drawn from "
        "the names of training pictures, half from those of held-out ones; they are compared with all held-out real "
        "pictures. Pairs of the same thing do not count. References: the real pictures of the same names, and these "
        "through the autoencoder."
    ),
    (
        f"Caption match: among {PROMPTS} of the everyday prompts, every second one of the list from the first on, the "
        "scorer must give a picture's own prompt the highest score; a tie is lost. Embedded weights have learnt from "
        "the pictures of these prompts, more than from others. References: the drawn pictures with the prompts dealt "
        "out at random, and the real pictures of these prompts, which the scorer has learnt from."
    ),
    (
        "Scorer: a linear map between frozen networks, trained on real training pictures only. How far it can be "
        f"trusted: how often it finds a held-out real picture's name among those of {PROMPTS - 1} other held-out ones."
    ),
    (
        "Intervals are percentiles of 1000 bootstrap samples: over the things shown for KID and the scorer, over "
        "pictures for the autoencoder, over prompts for caption match."
    ),
)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """metrics: as metrics.json has them. shown: pictures for the page, those of the everyday prompts among them."""

    metrics: dict[str, Any]
    shown: Shown


def run(cfg: ImagegenConfig, run: Run) -> int:
    """Draw, measure and write to `output`; the same call again writes the same bytes on the same kind of machine.

    Raises InputError, in one line.
    """
    pipeline = load_pipeline(Path(cfg.weights) if cfg.weights else None, cfg.model.device)
    output = make_folder(Path(str(cfg.output)))
    judges = load_judges(Path(cfg.data.cache), cfg.model.edge, run.log)
    first = Recipe("", steps=cfg.steps, guidance=cfg.guidance, scheduler=cfg.scheduler, seed=cfg.seed)
    result = evaluate(pipeline, judges, first, cfg.evaluate.pictures, cfg.serve.rows)
    write(result, output)
    run.write_metrics(result.metrics)
    run.log.event("evaluated", items=int(result.metrics["drawn_by"]["pictures"]))
    return ExitCode.DONE


def write(result: Evaluation, output: Path) -> None:
    """Write metrics.json, sheet.png and report.html. Raises OutputError output_unwritable and output_full."""
    write_json(output / "metrics.json", result.metrics)
    write_bytes(output / "sheet.png", sheet_png(list(result.shown.drawn_NHWC), result.shown.prompts))
    write_text(output / "report.html", evaluation_page(result.metrics, result.shown).render())


def evaluate(
    pipeline: Pipeline, judges: Judges, first: Recipe, count: int, rows: int = PROMPTS
) -> Evaluation:
    """Draw with a pipeline and measure its pictures, by PROTOCOL.

    first: seed, steps, guidance and scheduler of all pictures; picture i of a list of prompts uses seed + i. count: of
    pictures for KID, and again for caption match. rows: of the engine's batches.
    """
    pictures, seed = judges.pictures, first.seed
    everyday = [row["prompt"] for row in everyday_prompts()]
    asked = asked_of(pictures, count, seed)
    chosen = [chosen_prompts(everyday)[n % PROMPTS] for n in range(count)]
    with Engine(pipeline, rows=rows, waiting=2 * rows) as engine:
        sheet_NHWC = _drawn(engine, first, everyday, "everyday prompts")
        named_NHWC = _drawn(engine, first, [name_of(pictures.pictures[n]) for n in asked], "names")
        chosen_NHWC = _drawn(engine, first, chosen, "caption match")
    metrics: dict[str, Any] = {}
    metrics["autoencoder"], before_and_after = judged_autoencoder(pipeline, pictures, seed)
    metrics["kid"] = judged_likeness(pipeline, judges, asked, named_NHWC, seed)
    metrics["caption_match"] = judged_match(judges, chosen_NHWC, everyday, seed)
    metrics["scorer"] = judged_scorer(judges, seed)
    metrics["drawn_by"] = {
        **{
            name: value
            for name, value in first.as_json().items()
            if name in ("steps", "guidance", "scheduler")
        },
        "model": pipeline.digest,
        "name": pipeline.name,
        "seed": seed,
        "pictures": len(everyday) + 2 * count,
    }
    metrics["protocol"] = list(PROTOCOL)
    return Evaluation(metrics, Shown(everyday, sheet_NHWC, *before_and_after))


def chosen_prompts(everyday: Sequence[str]) -> list[str]:
    """Return the prompts of caption match: every second one of the list, chosen before anything was drawn."""
    return list(everyday[::2][:PROMPTS])


def name_of(picture: Picture) -> str:
    """Return what a picture is called, the first of its captions."""
    return picture.captions[0].text


def asked_of(pictures: PictureSet, count: int, seed: int) -> list[int]:
    """Return indices of the pictures as drawn whose names are asked for: training and held-out ones by turns."""
    rng = np.random.default_rng(seed)
    sides = [
        rng.permutation([n for n, one in enumerate(pictures.pictures) if one.plain and one.split == side])
        for side in (TRAIN, HELD_OUT)
    ]
    return [int(sides[n % 2][n // 2 % len(sides[n % 2])]) for n in range(count)]


def judged_autoencoder(
    pipeline: Pipeline, pictures: PictureSet, seed: int
) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray]]:
    """Return the figures of the autoencoder, and the held-out pictures before and after it, (N, H, W, C) uint8 each.

    psnr_db: the mean and its 95 % interval, in dB.
    """
    held = pictures.part(HELD_OUT, plain=True)
    seen_NHWC = _through(pipeline, held.rgb_NHWC)
    psnr_N = psnr_of_each(held.rgb_NHWC, seen_NHWC)
    metrics = {
        "psnr_db": list(mean_psnr(psnr_N, seed=seed)),
        "least_db": float(psnr_N.min()),
        "pictures": len(psnr_N),
    }
    return metrics, (held.rgb_NHWC, seen_NHWC)


def judged_likeness(
    pipeline: Pipeline, judges: Judges, asked: Sequence[int], named_NHWC: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return KID of drawn pictures and of the two references, all to the held-out real pictures."""
    pictures = judges.pictures
    of_thing = {owner: n for n, owner in enumerate(sorted({one.owner for one in pictures.pictures}))}
    held = pictures.part(HELD_OUT, plain=True)
    held_NF, held_N = (
        _features(judges, held.rgb_NHWC),
        np.array([of_thing[one.owner] for one in held.pictures]),
    )
    once = sorted(set(asked))
    into = np.array([once.index(n) for n in asked])
    real_NHWC = pictures.rgb_NHWC[once]
    sets = {
        "drawn": _features(judges, named_NHWC),
        "through_autoencoder": _features(judges, _through(pipeline, real_NHWC))[into],
        "real": _features(judges, real_NHWC)[into],
    }
    owner_N = np.array([of_thing[pictures.pictures[n].owner] for n in asked])
    sides = np.array([pictures.pictures[n].split for n in asked])
    metrics: dict[str, Any] = {
        name: list(kid(feature_NF, held_NF, owner_N, held_N, seed=seed)) for name, feature_NF in sets.items()
    }
    for side in (TRAIN, HELD_OUT):
        of_side = sides == side
        metrics[f"drawn_from_{side}_names"] = list(
            kid(sets["drawn"][of_side], held_NF, owner_N[of_side], held_N, seed=seed)
        )
    return {**metrics, "network": NETWORK, "pictures": len(asked), "held_out": len(held_N)}


def judged_match(
    judges: Judges, chosen_NHWC: np.ndarray, everyday: Sequence[str], seed: int
) -> dict[str, Any]:
    """Return the share of pictures whose own prompt wins, the two references, and the share of each prompt."""
    prompts = chosen_prompts(everyday)
    own_N = np.arange(len(chosen_NHWC)) % len(prompts)
    score_NK = judges.scorer.scores(chosen_NHWC, prompts)
    won_N, dealt_N = wins(score_NK, own_N), shuffled(own_N, seed)
    code_by_prompt = {row["prompt"]: row["picture"] for row in everyday_prompts()}
    index_by_code = {one.code: n for n, one in enumerate(judges.pictures.pictures)}
    there = [
        (k, index_by_code[code_by_prompt[prompt]])
        for k, prompt in enumerate(prompts)
        if code_by_prompt[prompt] in index_by_code
    ]
    real_NK = judges.scorer.scores(judges.pictures.rgb_NHWC[[n for _, n in there]], prompts)
    own_real_N = np.array([k for k, _ in there])
    return {
        "drawn": list(match(won_N, own_N, seed=seed)),
        "shuffled": list(match(wins(score_NK, dealt_N), dealt_N, seed=seed)),
        "real": list(match(wins(real_NK, own_real_N), own_real_N, seed=seed)),
        "chance": 1.0 / len(prompts),
        "by_prompt": {prompt: float(won_N[own_N == k].mean()) for k, prompt in enumerate(prompts)},
        "pictures": len(own_N),
        "real_pictures": len(there),
    }


def judged_scorer(judges: Judges, seed: int) -> dict[str, Any]:
    """Return how often the scorer finds the name of a held-out real picture, among as many prompts."""
    held = judges.pictures.part(HELD_OUT, plain=True)
    score_NN = judges.scorer.scores(held.rgb_NHWC, [name_of(one) for one in held.pictures])
    things, owner_N = np.unique([one.owner for one in held.pictures], return_inverse=True)
    chance_N = chance_among(score_NN, owner_N, PROMPTS)
    share = estimate(
        lambda weight_O: float(weight_O[owner_N] @ chance_N / weight_O[owner_N].sum()), len(things), seed=seed
    )
    return {"held_out": list(share), "pictures": len(owner_N), "digest": judges.scorer.digest}


def _drawn(engine: Engine, first: Recipe, prompts: Sequence[str], what: str) -> np.ndarray:
    """Draw prompts in their order; picture i by seed + i."""
    specs = (ImageSpec(with_seed(replace(first, prompt=prompt), n)) for n, prompt in enumerate(prompts))
    results = draw_all(engine, specs, at_once=8)
    return np.stack([one.picture() for one in progress(results, f"drawing {what}", len(prompts))])


def _through(pipeline: Pipeline, rgb_NHWC: np.ndarray) -> np.ndarray:
    seen: np.ndarray = decode(pipeline.vae, encode(pipeline.vae, torch.from_numpy(rgb_NHWC))).numpy()
    return seen


def _features(judges: Judges, rgb_NHWC: np.ndarray) -> np.ndarray:
    parts = progress(np.array_split(rgb_NHWC, max(len(rgb_NHWC) // 16, 1)), f"features by {NETWORK}")
    return np.concatenate([judges.inception.features(part).numpy() for part in parts])
