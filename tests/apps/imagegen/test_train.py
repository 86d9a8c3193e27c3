from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from apps.imagegen import train
from apps.imagegen.config import AutoencoderConfig, DataConfig, ImagegenConfig, ModelConfig
from core.runs.folder import Run
from core.training.config import TrainerConfig
from tests.apps.imagegen import packages_made


def config(tmp_path: Path) -> ImagegenConfig:
    short = {"max_steps": 2, "batch_size": 2, "warmup_steps": 1, "checkpoint_every_steps": 1}
    return ImagegenConfig(
        stage="train",
        data=DataConfig(cache=str(tmp_path / "cache")),
        model=ModelConfig(edge=64),
        trainer=TrainerConfig(**short),
        autoencoder=AutoencoderConfig(**short),
    )


def test_training_leaves_a_pipeline_folder_and_tells_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages_made.put(monkeypatch, tmp_path / "cache")
    cfg = config(tmp_path)
    with closing(Run(tmp_path / "run")) as run:
        assert train.run(cfg, run) == 0
    result = json.loads((run.path / "metrics.json").read_text("utf-8"))
    assert {name: part["steps"] for name, part in result["rounds"].items()} == {
        "autoencoder": 2,
        "denoiser": 2,
    }
    assert result["pictures"] == 7
    assert result["captions"] > 20
    weights = load_file(run.path / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert sorted(path.name for path in (run.path / "model").iterdir()) == [
        "model_index.json",
        "scheduler",
        "unet",
        "vae",
    ]

    before = (run.path / "model" / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    monkeypatch.setattr(train, "states_of", None)  # states and latents of the first run are taken again
    monkeypatch.setattr(train.Denoising, "training_step", None)
    with closing(Run(tmp_path / "run")) as run:
        assert train.run(cfg, run) == 0
    assert (run.path / "model" / "vae" / "diffusion_pytorch_model.safetensors").read_bytes() == before
