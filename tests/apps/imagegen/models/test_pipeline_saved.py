from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file

from apps.imagegen.models.autoencoder import new_autoencoder
from apps.imagegen.models.denoiser import new_denoiser, training_scheduler
from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.models.pipeline_saved import save_networks, save_pipeline
from core.errors import InputError
from tests.apps.imagegen.tiny import TOKENS, tiny_pipeline, tiny_sd15

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    below = tmp_path_factory.mktemp("folders")
    return {"ours": tiny_pipeline(below / "tiny"), "sd15": tiny_sd15(below / "v1-5")}


@pytest.mark.parametrize("model", ["ours", "sd15"])
def test_what_is_saved_loads_here_and_in_plain_diffusers(
    model: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    result = load_pipeline(folders[model])
    save_pipeline(result, tmp_path / "saved")
    again = load_pipeline(tmp_path / "saved")
    assert again.scheduler_config == result.scheduler_config
    assert again.digest == result.digest, "an export draws what its model drew"
    text = (tmp_path / "saved" / "unet" / "config.json").read_text(encoding="utf-8")
    assert str(folders[model]) not in text, "where it lay before is shown to nobody"
    plain = StableDiffusionPipeline.from_pretrained(
        tmp_path / "saved", safety_checker=None, local_files_only=True
    )
    for net, other, third in (
        (result.unet, again.unet, plain.unet),
        (result.vae, again.vae, plain.vae),
        (result.text_encoder, again.text_encoder, plain.text_encoder),
    ):
        for name, one in net.state_dict().items():
            assert torch.equal(one, other.state_dict()[name])
            assert torch.equal(one, third.state_dict()[name])
    assert plain.tokenizer("red apple").input_ids == result.tokenizer("red apple").input_ids
    assert plain.tokenizer.model_max_length == TOKENS


def test_half_precision_is_stored_small_and_computed_in_full(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    pipeline = load_pipeline(folders["ours"])
    save_pipeline(pipeline, tmp_path / "half", torch.float16)
    assert {one.dtype for one in load_file(tmp_path / "half" / UNET).values()} == {torch.float16}
    result = load_pipeline(tmp_path / "half")
    assert result.unet.dtype == torch.float32
    assert torch.equal(result.unet.conv_in.weight, pipeline.unet.conv_in.weight.half().float())
    assert pipeline.unet.dtype == torch.float32, "the pipeline itself stays as it was"


def test_saved_networks_load_again_as_half_precision(tmp_path: Path) -> None:
    autoencoder, denoiser = new_autoencoder(32), new_denoiser(32, 16)
    weight = denoiser.conv_in.weight.detach().clone()
    save_networks(tmp_path / "model", autoencoder, denoiser, training_scheduler())
    loaded = UNet2DConditionModel.from_pretrained(tmp_path / "model" / "unet", local_files_only=True)
    assert torch.equal(loaded.conv_in.weight, weight.half().float())
    assert AutoencoderKL.from_pretrained(tmp_path / "model" / "vae").config["scaling_factor"] == 1.0
    assert (
        DDIMScheduler.from_pretrained(tmp_path / "model" / "scheduler").config["prediction_type"]
        == "v_prediction"
    )
    index = json.loads((tmp_path / "model" / "model_index.json").read_text("utf-8"))
    assert index["_class_name"] == "StableDiffusionPipeline"
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert len({path.stat().st_mode for path in files}) == 1, "whoever may read one may read all"
    assert denoiser.dtype == autoencoder.dtype == torch.float32, "what trains goes on in full precision"


def test_a_place_that_cannot_be_written_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    pipeline = load_pipeline(folders["ours"])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        save_pipeline(pipeline, tmp_path / "file" / "below")
    assert caught.value.code == "output_unwritable"


@pytest.mark.parametrize("model", ["ours", "sd15"])
def test_a_folder_whose_name_is_not_utf8(model: str, folders: dict[str, Path], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9") / os.fsdecode(b"\xff")
    pipeline = load_pipeline(folders[model])
    save_pipeline(pipeline, odd)
    again = load_pipeline(odd)
    assert again.digest == pipeline.digest
    assert again.name == odd.name
