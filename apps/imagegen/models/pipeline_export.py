"""A complete pipeline folder, text encoder included, that plain diffusers loads.

output/
├── README.md            how to load it, and what it is
├── card.md              the model's own card, where its folder has one
├── model_index.json     unet/ vae/ text_encoder/ tokenizer/ scheduler/
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.pipeline_saved import save_pipeline
from apps.imagegen.reasons import OUTPUT
from core.runs.files import make_folder, write_text
from core.runs.outputs import output_error

PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
_INDEX, _README, _CARD = "model_index.json", "README.md", "card.md"
_MARK = "<!-- made by triptych-imagegen stage=export -->"


@dataclass(frozen=True)
class Exported:
    """What was written. model: the pipeline's digest. dtype: of the weights. size: bytes of all files."""

    model: str
    dtype: torch.dtype
    size: int


def export_pipeline(source: Path, folder: Path) -> Exported:
    """Write the pipeline of a folder to another one; the same call again writes the same bytes.

    Weights are float16 where that loses nothing, else float32. An earlier export of the same model is written anew.
    Raises InputError: output_not_export, output_other_model, output_is_model, and what load_pipeline and save_pipeline
    raise.
    """
    if folder.exists() and source.exists() and folder.resolve() == source.resolve():
        raise OUTPUT("output_is_model", folder=folder)
    earlier = _earlier_export(folder)
    pipeline = load_pipeline(source, "cpu")
    if earlier is not None and f"SHA-256 {pipeline.digest}" not in earlier:
        raise OUTPUT("output_other_model", folder=folder)
    card = _card(source)
    dtype = torch.float16 if _fits_half(pipeline.unet) and _fits_half(pipeline.vae) else torch.float32
    _clear(make_folder(folder))
    write_text(folder / _README, readme(pipeline, dtype, card=bool(card)))
    if card:
        write_text(folder / _CARD, card)
    save_pipeline(pipeline, folder, dtype)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(pipeline.digest, dtype, size)


def readme(pipeline: Pipeline, dtype: torch.dtype, *, card: bool) -> str:
    """Return what an exported folder says about itself. card: whether the model's own lies beside it."""
    noise = pipeline.scheduler_config
    own, *more = (f"{width} x {height}" for width, height in pipeline.limits.sizes)
    weights = sum(weight.numel() for weight in pipeline.unet.parameters()) / 1e6
    grid = f"{pipeline.latent_channels} channels of latents, {pipeline.factor} pixels a latent"
    words = f"{type(pipeline.text_encoder).__name__}, at most {pipeline.tokenizer.model_max_length} tokens"
    kind = f"{noise.get('beta_schedule', 'linear')}, {noise.get('prediction_type', 'epsilon')}"
    facts = {
        "pictures": f"{own} pixels; also {', '.join(more) or 'none'}",
        "text encoder": words,
        "denoiser": f"UNet2DConditionModel, {weights:.1f} million weights, {grid}",
        "noise": f"{kind}, {noise.get('num_train_timesteps', 1000)} steps",
        "weights": f"{str(dtype).removeprefix('torch.')}, safetensors",
        "made from": f"SHA-256 {pipeline.digest}",
    }
    lines = [
        "---",
        "library_name: diffusers",
        "pipeline_tag: text-to-image",
        "---",
        "",
        _MARK,
        "",
        f"# {pipeline.name}",
        "",
        "A Stable Diffusion pipeline in diffusers' own classes. From the folder that holds this one:",
        "",
        "```python",
        "from diffusers import StableDiffusionPipeline",
        'pipeline = StableDiffusionPipeline.from_pretrained("FOLDER")',
        'pipeline("red apple", num_inference_steps=25, guidance_scale=4.0).images[0].save("red-apple.png")',
        "```",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        "It has no safety checker: whoever shows its pictures to others judges them first.",
    ]
    if card:
        lines += ["", f"What it learned from, how well it draws, and its licence: [{_CARD}]({_CARD})."]
    return "\n".join(lines) + "\n"


def _earlier_export(folder: Path) -> str | None:
    """Return the README of an earlier export in a folder, None for a free folder; raise InputError for any other."""
    try:
        taken = folder.is_dir() and any(folder.iterdir())
        readme = (folder / _README).read_text(encoding="utf-8", errors="replace") if taken else ""
    except OSError:
        readme = ""
    if taken and _MARK not in readme:
        raise OUTPUT("output_not_export", folder=folder)
    return readme if taken else None


def _clear(folder: Path) -> None:
    """Remove an earlier export, the index first: no reader takes what is left for a pipeline."""
    try:
        for name in (_INDEX, _CARD):
            (folder / name).unlink(missing_ok=True)
        for name in PARTS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise output_error(error, folder) from error


def _card(source: Path) -> str:
    """Return the card of a model's folder, empty where it has none or one of an export."""
    for name in (_CARD, _README):
        path = source / name
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            if _MARK not in text:
                return text
    return ""


def _fits_half(network: nn.Module) -> bool:
    """Tell whether float16 holds every weight exactly, as where they were float16 before."""
    return all(
        torch.equal(weight, weight.half().to(weight.dtype)) for weight in network.state_dict().values()
    )
