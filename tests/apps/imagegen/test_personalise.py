"""stage=personalise in small: what is learned shows with the word, the rest stays, and diffusers takes the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file

from apps.imagegen import personalise
from apps.imagegen.config import ImagegenConfig, ModelConfig, PersonaliseConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.autoencoder import encode
from apps.imagegen.models.denoiser import denoising_loss
from apps.imagegen.models.drawing import ImageSpec, draw_all
from apps.imagegen.models.engine import Engine
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.schedulers import new_scheduler
from core.errors import ConfigError, InputError
from core.runs.folder import Run
from core.training.config import TrainerConfig
from tests.apps.imagegen.tiny import tiny_pipeline, tiny_sd15

TRAINER = TrainerConfig(
    max_steps=80,
    batch_size=8,
    learning_rate=0.005,
    weight_decay=0.0,
    warmup_steps=5,
    ema_decay=0.0,
    checkpoint_every_steps=40,
)
SHORT = replace(TRAINER, max_steps=4, batch_size=2, warmup_steps=1, checkpoint_every_steps=1)
RED = (220, 30, 20)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _images(folder: Path, count: int = 5) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (40, 32), RED).save(folder / f"red-{number}-apple.png")
    return folder


def _config(tmp_path: Path, model: Path, trainer: TrainerConfig = SHORT, **more: object) -> ImagegenConfig:
    settings = {
        "stage": "personalise",
        "images": str(tmp_path / "images"),
        "token": "<red> style",
        "output": str(tmp_path / "output"),
        "steps": 2,
        "model": ModelConfig(path=str(model)),
        "trainer": trainer,
        "personalise": PersonaliseConfig(prior_pictures=2),
    }
    return ImagegenConfig(**{**settings, **more})


def _run(cfg: ImagegenConfig, folder: Path) -> int:
    with closing(Run(folder)) as run:
        return personalise.run(cfg, run)


def test_pictures_with_the_word_come_nearer_to_those_given(tmp_path: Path) -> None:
    model = tiny_pipeline(tmp_path / "model")
    _images(tmp_path / "images")
    assert _run(_config(tmp_path, model, TRAINER), tmp_path / "run") == 0
    output = tmp_path / "output"
    assert sorted(path.name for path in output.iterdir()) == ["red-style.png", "red-style.safetensors"]
    assert (output / "red-style.safetensors").stat().st_size < 100_000
    result = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert {key: result[key] for key in ("pictures", "refused", "prior_pictures", "steps", "exit_code")} == {
        "pictures": 5,
        "refused": 0,
        "prior_pictures": 2,
        "steps": 80,
        "exit_code": 0,
    }

    pipeline = load_pipeline(model)
    seen = torch.full((1, 32, 32, 3), 0, dtype=torch.uint8) + torch.tensor(RED, dtype=torch.uint8)
    latent = encode(pipeline.vae, seen).clone()
    prompt = "red apple, <red> style"
    wanted = [Recipe(prompt, seed=seed, steps=1, guidance=1.0) for seed in range(3)]
    adapters = AdapterCache(output, pipeline)
    assert adapters.metadata("red-style").keys() >= {"model", "token", "rank", "steps"}
    with Engine(pipeline, rows=4, adapters=adapters) as engine:
        plain = _drawn(engine, wanted)
        with_it = _drawn(engine, [replace(one, adapter="red-style") for one in wanted])
        again = _drawn(engine, wanted)
    with Engine(load_pipeline(model), rows=4) as engine:
        untouched = _drawn(engine, wanted)
    assert all(np.array_equal(a, b) for a, b in zip(plain, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(plain, untouched, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(plain, with_it, strict=True))
    far, loss = _distance(pipeline, latent, prompt), _loss(pipeline, latent, prompt)
    with adapters.use("red-style"):
        assert _distance(pipeline, latent, prompt) < 0.9 * far
        assert _loss(pipeline, latent, prompt) < 0.9 * loss

    _same_in_diffusers(model, output / "red-style.safetensors", prompt, with_it[0])


@torch.no_grad()
def _distance(pipeline: Pipeline, latent: torch.Tensor, prompt: str) -> float:
    """Return how far from given latents lies what is foreseen of pure noise, which is the mean of what was shown.

    In latents, not in colours: a random autoencoder decodes almost anything to the same grey.
    """
    noise = torch.randn((32, *latent.shape[1:]), generator=torch.Generator().manual_seed(0))
    velocity = pipeline.unet(noise, 999, pipeline.states([prompt]).repeat(32, 1, 1)).sample
    return (-velocity - latent).abs().mean().item()


@torch.no_grad()
def _loss(pipeline: Pipeline, latent: torch.Tensor, prompt: str) -> float:
    torch.manual_seed(0)
    alpha = new_scheduler("ddim", pipeline.scheduler_config).alphas_cumprod
    return denoising_loss(
        pipeline.unet, alpha, latent.repeat(64, 1, 1, 1), pipeline.states([prompt] * 64)
    ).item()


def _drawn(engine: Engine, recipes: list[Recipe]) -> list[np.ndarray]:
    return [one.picture().astype(float) for one in draw_all(engine, map(ImageSpec, recipes), 8)]


def _same_in_diffusers(model: Path, adapter: Path, prompt: str, expected: np.ndarray) -> None:
    """Draw with plain diffusers and compare: rounding of float32 apart, the same picture."""
    pipe = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_lora_weights(adapter, local_files_only=True)
    generator = torch.Generator().manual_seed(0)
    result = pipe(
        prompt, num_inference_steps=1, guidance_scale=1.0, generator=generator, output_type="np"
    ).images[0]
    assert np.abs(result * 255 - expected).max() < 2


def test_a_training_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    model = tiny_pipeline(tmp_path / "model")
    _images(tmp_path / "images")
    cfg = _config(tmp_path, model)
    assert _run(cfg, tmp_path / "whole") == 0
    whole = (tmp_path / "output" / "red-style.safetensors").read_bytes()
    sheet = (tmp_path / "output" / "red-style.png").read_bytes()

    class Cut(Exception):
        pass

    learn, count = personalise.Personalising.training_step, 0

    def cut(
        self: personalise.Personalising, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int
    ) -> torch.Tensor:
        nonlocal count
        count += 1
        if count == 3:
            raise Cut
        return learn(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(personalise.Personalising, "training_step", cut)
        with pytest.raises(Cut):
            _run(cfg, tmp_path / "cut")
    count = 10
    prior = (tmp_path / "cut" / "prior.npz").stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(personalise.Personalising, "training_step", cut)
        assert _run(cfg, tmp_path / "cut") == 0
    assert count == 12, "two of four steps were left"
    assert (tmp_path / "output" / "red-style.safetensors").read_bytes() == whole
    assert (tmp_path / "output" / "red-style.png").read_bytes() == sheet
    assert (tmp_path / "cut" / "prior.npz").stat().st_mtime_ns == prior, (
        "the model's own pictures are drawn once"
    )
    (weights,) = (tmp_path / "cut" / "checkpoints").glob("adapter/weights.safetensors")
    kept = load_file(weights)
    assert {name.partition(".")[0] for name in kept} == {"adapter"}, (
        "checkpoints hold the adapter, not the model"
    )


def test_a_model_of_the_other_kind_learns_too_and_bad_pictures_are_set_aside(tmp_path: Path) -> None:
    model = tiny_sd15(tmp_path / "model")
    _images(tmp_path / "images")
    (tmp_path / "images" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    trainer = replace(SHORT, max_steps=2, ema_decay=0.5, precision="bf16")
    cfg = _config(tmp_path, model, trainer, personalise=PersonaliseConfig(prior_pictures=0, rank=2))
    assert _run(cfg, tmp_path / "run") == 4
    aside = json.loads((tmp_path / "output" / "quarantine" / "torn.jpg.json").read_text("utf-8"))
    assert (aside["code"], aside["files"]) == ("image_broken", ["torn.jpg"])
    assert json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))["prior_pictures"] == 0
    adapters = AdapterCache(tmp_path / "output", load_pipeline(model))
    assert adapters.metadata("red-style")["rank"] == "2"
    first = adapters.digest("red-style")
    (tmp_path / "images" / "torn.jpg").unlink()
    for path in (tmp_path / "images").iterdir():
        Image.new("RGB", (40, 32), "blue").save(path)
    with pytest.raises(
        ConfigError, match=r"run was begun with images=.* and this run has images=.* \(content "
    ):
        _run(cfg, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"trainer\.learning_rate=0\.005, and this run has"):
        _run(replace(cfg, trainer=replace(trainer, learning_rate=0.5)), tmp_path / "run")
    assert adapters.digest("red-style") == first, (
        "an old run folder goes on with its own settings and pictures only"
    )
    assert _run(cfg, tmp_path / "another") == 0
    assert adapters.digest("red-style") == first, "an adapter of other pictures is never replaced"
    assert (tmp_path / "output" / "quarantine" / "torn.jpg.json").exists()
    (name,) = (each for each in adapters.names() if each != "red-style")
    assert (tmp_path / "output" / f"{name}.png").exists()
    assert adapters.digest(name) != first
    other = AdapterCache(tmp_path / "output", load_pipeline(tiny_pipeline(tmp_path / "other")))
    with pytest.raises(InputError, match="was trained on another model") as caught:
        other.digest("red-style")
    assert caught.value.code == "adapter_other_model"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "token_unreadable"),
        ("a\x00b", "token_unreadable"),
        ("x" * 101, "token_unreadable"),
        ("q" * 40, "token_too_long"),
    ],
)
def test_words_that_cannot_be_learned_are_refused(tmp_path: Path, token: str, code: str) -> None:
    model = tiny_pipeline(tmp_path / "model")
    _images(tmp_path / "images")
    with pytest.raises(InputError) as caught:
        _run(_config(tmp_path, model, token=token), tmp_path / "run")
    assert caught.value.code == code
    assert "\n" not in caught.value.sentence


def test_an_output_that_cannot_be_written_is_reported_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "output").write_text("a file")
    monkeypatch.setattr(personalise, "load_pipeline", None)
    with pytest.raises(InputError) as caught:
        _run(_config(tmp_path, tmp_path / "model"), tmp_path / "run")
    assert caught.value.code == "output_unwritable"
