"""Networks to a Stable Diffusion pipeline's folder, as diffusers saves it."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from torch import nn

from apps.imagegen.models.pipeline_folder import Pipeline
from core.data.paths import encodable
from core.runs.files import make_folder, write_json
from core.runs.outputs import output_error

_INDEX = "model_index.json"
_NOISE = "scheduler/scheduler_config.json"
_PRIVATE = "_name_or_path"  # where diffusers read the weights on this machine


def save_pipeline(pipeline: Pipeline, folder: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a whole folder, text encoder included, which plain StableDiffusionPipeline.from_pretrained loads.

    dtype: of the weights of U-Net and autoencoder; float16 halves the file. Raises InputError: output_unwritable,
    output_full.
    """
    parts = {
        "unet": _stored(pipeline.unet, dtype),
        "vae": _stored(pipeline.vae, dtype),
        "text_encoder": pipeline.text_encoder,
        "tokenizer": pipeline.tokenizer,
    }
    noise = {"_class_name": "DDIMScheduler", **pipeline.scheduler_config}
    _save(folder, parts, noise)
    index = {
        **_index(parts, noise),
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
    }
    write_json(folder / _INDEX, index)


def save_networks(
    folder: Path, autoencoder: AutoencoderKL, denoiser: UNet2DConditionModel, scheduler: DDIMScheduler
) -> None:
    """Write a folder without the text encoder, which a package carries; weights as float16.

    stage=export makes the folder whole. Raises InputError: output_unwritable, output_full.
    """
    parts = {"unet": _stored(denoiser, torch.float16), "vae": _stored(autoencoder, torch.float16)}
    noise = json.loads(scheduler.to_json_string())
    _save(folder, parts, noise)
    write_json(folder / _INDEX, _index(parts, noise))


def _stored(net: Any, dtype: torch.dtype) -> Any:
    # PyTorch's own way: that of diffusers warns of layers that should stay as they are, and names none
    return net if dtype == torch.float32 else nn.Module.to(copy.deepcopy(net), dtype)


def _save(folder: Path, parts: Mapping[str, Any], noise: Mapping[str, Any]) -> None:
    """Write each part and the scheduler's settings, without where they lay before, and with one mode."""
    make_folder(folder)
    write_json(folder / _NOISE, noise)
    mode = (folder / _NOISE).stat().st_mode
    try:
        for name, part in parts.items():
            with encodable(folder) as writable:
                part.save_pretrained(writable / name)
            for path in (folder / name).iterdir():
                if path.name == "config.json":
                    config = json.loads(path.read_text(encoding="utf-8"))
                    write_json(path, {key: value for key, value in config.items() if key != _PRIVATE})
                path.chmod(mode)  # safetensors makes files that their owner alone may read
    except SafetensorError as error:  # its words hold the number of the system's error
        match = re.search(r"os error (\d+)", str(error))
        cause = OSError(int(match[1]), os.strerror(int(match[1]))) if match else OSError(0, "unknown")
        raise output_error(cause, folder) from error
    except OSError as error:
        raise output_error(error, folder) from error


def _index(parts: Mapping[str, Any], noise: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": version("diffusers"),
        "scheduler": ["diffusers", noise["_class_name"]],
        **{
            name: [type(part).__module__.partition(".")[0], type(part).__name__]
            for name, part in parts.items()
        },
    }
