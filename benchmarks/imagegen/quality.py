"""How good the pictures of a pipeline are: stage=evaluate, by its fixed protocol, as a record."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from apps.imagegen.config import EvaluateConfig, ModelConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.evaluate import evaluate, write
from apps.imagegen.models.judges import load_judges
from apps.imagegen.models.pipeline_folder import load_pipeline
from benchmarks.command_line import whole
from core.runs.folder import Run

PICTURES = 512


def run(
    model: str = "",
    pictures: str = str(PICTURES),
    seed: str = "0",
    cache: str = ".cache/imagegen",
    output: str = "",
) -> dict[str, Any]:
    """Return the record of one evaluation.

    model: folder of a pipeline, empty: the embedded one. pictures: drawn for KID, and again for caption match.
    output: folder that keeps sheet and page. Raises InputError and ConfigError as the stage does.
    """
    count = EvaluateConfig(pictures=whole("pictures", pictures)).pictures
    first = Recipe("", seed=whole("seed", seed, low=0))
    pipeline = load_pipeline(Path(model) if model else None)
    with tempfile.TemporaryDirectory() as folder, closing(Run(Path(folder))) as record:
        judges = load_judges(Path(cache), ModelConfig().edge, record.log)
        result = evaluate(pipeline, judges, first, count)
    if output:
        write(result, Path(output))
    metrics = result.metrics
    return {"headline": headline_of(metrics), "model": metrics["drawn_by"]["model"], **metrics}


def headline_of(metrics: dict[str, Any]) -> dict[str, str]:
    """Return the figures for the page of all records, each beside what it must be read with."""
    kid, match, psnr_db = metrics["kid"], metrics["caption_match"], metrics["autoencoder"]["psnr_db"]
    thousandths = {name: f"{1000.0 * kid[name][0]:.1f}" for name in ("drawn", "through_autoencoder", "real")}
    return {
        "autoencoder": f"{psnr_db[0]:.1f} dB ({psnr_db[1]:.1f} to {psnr_db[2]:.1f})",
        f"KID × 1000 on {kid['network']}": (
            f"{thousandths['drawn']} (real pictures through the autoencoder {thousandths['through_autoencoder']}, "
            f"real pictures {thousandths['real']})"
        ),
        "caption match": (
            f"{match['drawn'][0]:.0%} ({match['drawn'][1]:.0%} to {match['drawn'][2]:.0%}; real pictures "
            f"{match['real'][0]:.0%}, prompts dealt at random {match['shuffled'][0]:.0%})"
        ),
        "scorer on held-out pictures": f"{metrics['scorer']['held_out'][0]:.0%}",
    }
