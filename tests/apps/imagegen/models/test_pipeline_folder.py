from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.errors import RecipeError
from apps.imagegen.models import pipeline_folder
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from core.errors import InputError
from tests.apps.imagegen.tiny import TOKENS, WIDTH, tiny_pipeline, tiny_sd15

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("ours") / "tiny")


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sd15(tmp_path_factory.mktemp("sd15") / "v1-5")


@pytest.fixture(scope="module")
def pipeline(ours: Path) -> Pipeline:
    return load_pipeline(ours)


def edit(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


@pytest.mark.parametrize("kind", ["ours", "sd15"])
def test_both_kinds_of_folder_load_whole(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    result = load_pipeline(folder)
    assert (result.name, result.own_size, result.factor) == (folder.name, (32, 32), 8)
    assert result.latent_channels == {"ours": 8, "sd15": 4}[kind]
    assert result.limits.sizes == ((32, 32), (48, 32), (32, 48), (48, 48))
    for net in (result.unet, result.vae, result.text_encoder):
        assert not net.training
        assert {one.dtype for one in net.parameters()} == {torch.float32}
        assert not any(one.requires_grad for one in net.parameters())
    assert result.states(["red apple"]).shape == (1, TOKENS, WIDTH)


@pytest.mark.parametrize("kind", ["ours", "sd15"])
def test_weights_are_those_of_the_file(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    result = load_pipeline(folder)
    stored = load_file(folder / "text_encoder" / "model.safetensors")
    held = {name.removeprefix("text_model."): one for name, one in result.text_encoder.state_dict().items()}
    for name, one in stored.items():
        if "position_ids" not in name:
            assert torch.equal(held[name.removeprefix("text_model.")], one), name
    assert len(stored) > 10


def test_states_of_a_text_do_not_depend_on_others(pipeline: Pipeline) -> None:
    both = pipeline.states(["red apple", "a photo of a blue car"])
    assert torch.equal(both[:1], pipeline.states(["red apple"]))
    assert torch.equal(both[1:], pipeline.states(["a photo of a blue car"]))
    assert not torch.equal(both[0], both[1])
    assert pipeline.states(["red apple " * 1000]).shape == (1, TOKENS, WIDTH), "what is too long is cut off"


def test_its_digest_tells_the_weights(ours: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    assert load_pipeline(ours).digest == pipeline.digest
    assert len(pipeline.digest) == 64
    copied = shutil.copytree(ours, tmp_path / "other-name")
    assert load_pipeline(copied).digest == pipeline.digest, "neither folder nor name counts"
    weights = load_file(copied / UNET)
    weights["conv_out.bias"] += 1e-6
    save_file(weights, copied / UNET)
    changed = load_pipeline(copied).digest
    assert changed != pipeline.digest
    edit(copied / "scheduler/scheduler_config.json", beta_schedule="linear")
    assert load_pipeline(copied).digest not in (changed, pipeline.digest)


def test_a_recipe_is_made_whole(pipeline: Pipeline) -> None:
    whole = pipeline.resolve(Recipe("red apple"))
    assert (whole.width, whole.height, whole.model) == (32, 32, pipeline.digest)
    assert pipeline.resolve(whole) == whole
    assert pipeline.resolve(Recipe("red apple", width=48)).height == 32
    with pytest.raises(RecipeError, match="the recipe is of model 0000") as caught:
        pipeline.resolve(Recipe("red apple", model="0" * 64))
    assert (caught.value.code, caught.value.param) == ("model_other", "model")
    with pytest.raises(RecipeError, match="this model draws 32x32, 48x32, 32x48, 48x48"):
        pipeline.resolve(Recipe("red apple", width=1024, height=1024))
    assert pipeline.resolve(Recipe("red apple", steps=1000)).steps == 1000
    with pytest.raises(RecipeError, match="1 to 1000 is wanted"):
        pipeline.resolve(Recipe("red apple", steps=1001))


def test_steps_end_where_the_noise_of_the_model_does(ours: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ours, tmp_path / "short")
    edit(folder / "scheduler/scheduler_config.json", num_train_timesteps=50)
    with pytest.raises(RecipeError, match="1 to 50 is wanted"):
        load_pipeline(folder).resolve(Recipe("red apple", steps=51))


@pytest.mark.parametrize("kind", ["ours", "sd15"])
def test_a_long_text_is_read_in_chunks(kind: str, request: pytest.FixtureRequest) -> None:
    result = load_pipeline(request.getfixturevalue(kind))
    room = TOKENS - 2
    texts = {n: " ".join(["cat"] * n) for n in (1, 4, 60, 300)}
    one = result.resolve(Recipe(texts[1]))
    assert (one.text_chunks, result.notes(one), "text_chunks" in one.as_json()) == (1, (), False)
    long = result.resolve(Recipe(texts[60]))
    assert 1 < long.text_chunks <= 16
    whole = result.states([texts[60]], long.text_chunks)
    assert whole.shape == (1, long.text_chunks * TOKENS, WIDTH)
    assert torch.allclose(whole[:, :TOKENS], result.states([texts[60]]), atol=1e-5), "the first is as before"
    other = result.states([texts[60] + " red"], long.text_chunks)
    assert torch.equal(whole[:, : -2 * TOKENS], other[:, : -2 * TOKENS])
    assert not torch.equal(whole, other), "and its end counts"
    cut = result.resolve(Recipe("red", negative=texts[300]))
    (sentence,) = result.notes(cut)
    assert cut.text_chunks == 16
    assert sentence.startswith(f"the first {16 * room} of ")
    assert "tokens of the negative prompt are used" in sentence
    assert result.resolve(Recipe("red", negative=texts[300], guidance=1.0)).text_chunks == 1, "it is not read"
    assert Recipe.from_json({**one.as_json(), "prompt": texts[300]}).text_chunks == 1, "as it was drawn then"


def test_missing_shards_and_other_variants_are_named(ours: Path, tmp_path: Path) -> None:
    stem = "diffusion_pytorch_model"
    unet = tmp_path / "sharded" / "unet"
    shutil.copytree(ours, unet.parent)
    weights = load_file(unet / f"{stem}.safetensors")
    halves = [dict(list(weights.items())[position::2]) for position in (0, 1)]
    names = [f"{stem}-0000{position}-of-00002.safetensors" for position in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, unet / name, metadata={"format": "pt"})
    (unet / f"{stem}.safetensors").unlink()
    with pytest.raises(
        InputError, match=rf"{stem}\.safetensors\.index\.json is missing: the folder holds only {names[0]}"
    ):
        load_pipeline(unet.parent)
    index = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (unet / f"{stem}.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": index})
    )
    assert load_pipeline(unet.parent).digest == load_pipeline(ours).digest
    (unet / names[1]).unlink()
    with pytest.raises(InputError, match=f"{names[1]} is missing, one of 2 shards") as caught:
        load_pipeline(unet.parent)
    assert caught.value.code == "weights_shard_missing"
    for name, part, base in (("a", "unet", stem), ("b", "text_encoder", "model")):
        folder = shutil.copytree(ours, tmp_path / name)
        plain = folder / part / f"{base}.safetensors"
        plain.rename(plain.with_name(f"{base}.non_ema.safetensors"))
        sentence = (
            rf"{part}/{base}\.safetensors is missing: the folder holds only {base}\.non_ema\.safetensors,"
        )
        with pytest.raises(InputError, match=sentence):
            load_pipeline(folder)


@pytest.mark.parametrize(
    ("values", "asks"),
    [
        ({"requires_safety_checker": True}, True),
        ({"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}, True),
        ({}, False),
    ],
)
def test_a_folder_that_asks_for_a_safety_checker_is_reported_of(
    ours: Path, tmp_path: Path, values: dict[str, object], asks: bool
) -> None:
    folder = shutil.copytree(ours, tmp_path / "asking")
    edit(folder / "model_index.json", **values)
    assert load_pipeline(folder).cautions == (
        ("asking asks for a safety checker, and none runs here: judge its pictures before others see them",)
        if asks
        else ()
    )


def test_files_of_half_precision_only_are_taken(ours: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ours, tmp_path / "variant")
    for part, stem in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        (folder / part / f"{stem}.safetensors").rename(folder / part / f"{stem}.fp16.safetensors")
    assert load_pipeline(folder).unet.dtype == torch.float32


def test_the_embedded_folder_needs_no_text_encoder(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline
) -> None:
    folder = shutil.copytree(ours, tmp_path / "emoji")
    shutil.rmtree(folder / "text_encoder")
    shutil.rmtree(folder / "tokenizer")
    edit(folder / "model_index.json", text_encoder=[None, None], tokenizer=[None, None])
    monkeypatch.setattr(pipeline_folder, "EMBEDDED", folder)
    monkeypatch.setattr(
        pipeline_folder, "load_text_encoder", lambda: (pipeline.tokenizer, pipeline.text_encoder)
    )
    result = load_pipeline()
    assert (result.name, result.text_encoder) == ("emoji", pipeline.text_encoder)
    assert result.digest == pipeline.digest, "the same model, wherever its text encoder lies"


def _pickled(folder: Path) -> None:
    (folder / UNET).rename(folder / "unet/diffusion_pytorch_model.bin")


def _cut_off(folder: Path) -> None:
    (folder / UNET).write_bytes((folder / UNET).read_bytes()[:-100])


def _no_weights(folder: Path) -> None:
    (folder / UNET).unlink()


def _less_weights(folder: Path) -> None:
    weights = load_file(folder / "text_encoder/model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "text_encoder/model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "model_index_missing", "holds no model_index.json"),
        (lambda folder: shutil.rmtree(folder / "vae"), "weights_config_missing", "holds no config.json"),
        (lambda folder: shutil.rmtree(folder / "scheduler"), "model_file_missing", "not whole"),
        (_no_weights, "weights_missing", "holds no safetensors file"),
        (_pickled, "weights_pickled", "convert them to safetensors"),
        (_cut_off, "weights_not_safetensors", "is not a safetensors file, or is cut off"),
        (_less_weights, "weights_incomplete", "lacks 1 weights"),
        (lambda f: (f / "model_index.json").write_text("{"), "model_file_not_json", "is not a JSON object"),
        (lambda f: (f / "model_index.json").write_text("[]"), "model_file_not_json", "is not a JSON object"),
        (lambda f: shutil.rmtree(f / "tokenizer"), "tokenizer_unreadable", "cannot be read as BertTokenizer"),
        (
            lambda f: edit(f / "unet/config.json", block_out_channels=[8, 16]),
            "weights_unreadable",
            "do not fit",
        ),
        (
            lambda f: edit(f / "model_index.json", _class_name="StableDiffusionXLPipeline"),
            "pipeline_class",
            "is a StableDiffusionXLPipeline; Stable Diffusion 1.x or 2.x is wanted",
        ),
        (
            lambda f: edit(f / "model_index.json", _class_name="FluxPipeline"),
            "pipeline_class",
            "is a FluxPipeline",
        ),
        (
            lambda f: edit(
                f / "model_index.json", text_encoder_2=["transformers", "CLIPTextModelWithProjection"]
            ),
            "pipeline_networks",
            "has text_encoder_2;",
        ),
        (
            lambda f: edit(f / "model_index.json", vae=["diffusers", "AutoencoderTiny"]),
            "pipeline_networks",
            "has vae AutoencoderTiny;",
        ),
        (
            lambda f: edit(f / "model_index.json", text_encoder=["transformers", "T5EncoderModel"]),
            "pipeline_networks",
            "has text_encoder T5EncoderModel;",
        ),
        (
            lambda f: edit(f / "scheduler/scheduler_config.json", prediction_type="sample"),
            "noise_prediction",
            'predicts "sample"',
        ),
    ],
)
def test_what_cannot_be_loaded_is_named(
    ours: Path, tmp_path: Path, spoil: Callable[[Path], object], code: str, words: str
) -> None:
    folder = shutil.copytree(ours, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(InputError) as caught:
        load_pipeline(folder)
    assert caught.value.code == code
    assert words in caught.value.sentence
    assert "\n" not in caught.value.sentence


def test_another_unet_or_autoencoder_is_refused(ours: Path, sd15: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(ours, tmp_path / "mixed")
    shutil.rmtree(folder / "vae")
    shutil.copytree(sd15 / "vae", folder / "vae")
    with pytest.raises(InputError, match="takes 8 channels, and latents have 4") as caught:
        load_pipeline(folder)
    assert caught.value.code == "pipeline_channels"
