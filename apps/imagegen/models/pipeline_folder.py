"""A Stable Diffusion pipeline's folder, as diffusers saves it, to the four networks that draw.

Legend: N texts, T tokens, D width of a token's state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import safe_open
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from apps.imagegen.data.recipe import Limits, Recipe, check, check_settings
from apps.imagegen.models.digests import pipeline_digest
from apps.imagegen.models.schedulers import SCHEDULERS, check_noise
from apps.imagegen.models.text import (
    CHUNKS,
    ExportedEncoder,
    chunks_for,
    load_text_encoder,
    long_states_of,
    states_of,
    tokens_of,
    window,
)
from apps.imagegen.reasons import PIPELINE, RECIPE
from core.compute.devices import choose_device
from core.data.paths import encodable
from core.errors import InputError

EMBEDDED = Path(__file__).parents[1] / "weights" / "emoji"
_ENCODERS = {"CLIPTextModel": "CLIPTokenizer", "BertModel": "BertTokenizer"}
_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline")
SUFFIX = ".safetensors"
# Names of the networks that are exported, each alone.
TEXT_ENCODER, UNET, VAE_ENCODER, VAE_DECODER = "text_encoder", "unet", "vae_encoder", "vae_decoder"
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
# Settings of a U-Net that needs more than latents, a step and the states of a text.
_MORE_INPUTS = ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim")


@dataclass(frozen=True, eq=False)
class Pipeline:
    """Everything that draws; float32, in evaluation mode. own_size: (width, height) in pixels.

    scheduler_config: the noise that the model knows. digest: SHA-256 of all that decides what it draws. cautions:
    sentences that whoever draws with it should read. networks: exported ones that compute in place of PyTorch's, by
    name. runtime: what these are, which joins each recipe; "" where PyTorch computes.

    >>> from apps.imagegen import load_pipeline
    >>> load_pipeline(device="cpu").limits.sizes
    ((128, 128), (192, 128), (128, 192), (192, 192))
    """

    tokenizer: PreTrainedTokenizerBase
    text_encoder: PreTrainedModel
    vae: AutoencoderKL
    unet: UNet2DConditionModel
    scheduler_config: Mapping[str, Any]
    digest: str
    own_size: tuple[int, int]
    name: str
    cautions: tuple[str, ...] = ()
    networks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    runtime: str = ""

    @property
    def factor(self) -> int:
        """Pixels of a picture for each of its latents, along one side."""
        return int(2 ** (len(self.vae.config["block_out_channels"]) - 1))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.unet.config["in_channels"])

    @property
    def device(self) -> torch.device:
        """Where the U-Net computes."""
        return next(self.unet.parameters()).device

    @property
    def limits(self) -> Limits:
        """What it can draw: its own size, half as wide again, half as high again, and both."""
        grain = self.factor * 2 ** (len(self.unet.config["block_out_channels"]) - 1)
        width, height = self.own_size
        wide, high = (round(1.5 * side / grain) * grain for side in (width, height))
        sizes = dict.fromkeys([(width, height), (wide, height), (width, high), (wide, high)])
        steps = int(self.scheduler_config.get("num_train_timesteps", 1000))
        return Limits(sizes=tuple(sizes), schedulers=tuple(SCHEDULERS), text_chunks=CHUNKS, steps=(1, steps))

    def resolve(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the model, and with size and text chunks where it names none. Raises RecipeError.

        Besides those of `check`: model_other (the recipe was made by another model).
        """
        full = self._own(recipe)
        check(full, self.limits)
        chunks = full.text_chunks or chunks_for(self.tokenizer, list(_texts(full).values()))
        return replace(full, text_chunks=chunks)

    def sized(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the model, and with a size where it names none; prompt and strength are not checked.

        Raises RecipeError as `resolve` does.
        """
        full = self._own(recipe)
        check_settings(full, self.limits)
        return full

    def _own(self, recipe: Recipe) -> Recipe:
        if recipe.model not in ("", self.digest):
            recipes, own = recipe.model[:12], self.digest[:12]
            raise RECIPE("model_other", param="model", recipe=recipes, name=self.name, model=own)
        # a recipe that names its model names its runtime too: none is PyTorch
        if recipe.runtime != self.runtime and (recipe.model or recipe.runtime):
            drawn, here = (_shown(one) for one in (recipe.runtime, self.runtime))
            raise RECIPE("runtime_other", param="runtime", recipe=drawn, own=here)
        width, height = self.own_size
        return replace(
            recipe,
            width=recipe.width or width,
            height=recipe.height or height,
            model=self.digest,
            runtime=self.runtime,
        )

    def states(self, texts: Sequence[str], chunks: int = 1) -> Tensor:
        """Return the states of texts, (N, chunks × T, D) float32, each computed by itself: of its text alone."""
        run = self.networks.get(TEXT_ENCODER)
        encoder = self.text_encoder if run is None else ExportedEncoder(self.text_encoder, run)
        if chunks == 1:
            return states_of(self.tokenizer, encoder, texts, batch=1)
        return torch.cat([long_states_of(self.tokenizer, encoder, text, chunks) for text in texts])

    def decoded(self, latent_1Lhw: Tensor) -> Tensor:
        """Return the picture of latents as they come from the U-Net, (1, 3, H, W) in about -1 … 1."""
        scaled = (latent_1Lhw / float(self.vae.config["scaling_factor"])).to(self.device)
        run = self.networks.get(VAE_DECODER)
        seen: Tensor = self.vae.decode(scaled).sample if run is None else run(scaled.contiguous())
        return seen

    def encoded(self, signed_1CHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of a picture's latents before they are scaled, (1, L, h, w) each, on the CPU."""
        run = self.networks.get(VAE_ENCODER)
        if run is not None:
            mean, deviation = run(signed_1CHW.contiguous())
            return mean, deviation
        posterior = self.vae.encode(signed_1CHW.to(self.device)).latent_dist
        return posterior.mean.cpu(), posterior.std.cpu()

    def notes(self, recipe: Recipe) -> tuple[str, ...]:
        """Return a sentence for each text of a whole recipe that the text encoder reads in part only."""
        most = window(self.tokenizer) * recipe.text_chunks
        counts = {name: tokens_of(self.tokenizer, text) for name, text in _texts(recipe).items()}
        return tuple(
            f"the first {most} of {count} tokens of the {name} are used: the text encoder reads no more"
            for name, count in counts.items()
            if count > most
        )


def _texts(recipe: Recipe) -> dict[str, str]:
    """Return the texts that are read; without guidance the negative prompt is not."""
    texts = {"prompt": recipe.prompt}
    return texts | {"negative prompt": recipe.negative} if recipe.guidance > 1 else texts


def _shown(runtime: str) -> str:
    """Return a runtime as a sentence names it: the format, and the first digits of the artifacts' digest."""
    name, _, digest = runtime.partition(":")
    return f"{name} ({digest[:12]}…)" if name else "PyTorch"


def load_pipeline(path: str | Path | None = None, device: str = "auto") -> Pipeline:
    """Return the pipeline of a folder that holds a Stable Diffusion 1.x or 2.x as diffusers saves it.

    path: None: the embedded model, 128 × 128 pixels. device: cpu, cuda, or auto (a GPU where there is one). Weights may
    be float16; it computes in float32. Raises ConfigError no_gpu, and InputError: a code of reasons.PIPELINE, such as
    weights_missing, weights_pickled (only pickled weights are there) or pipeline_class (another kind of model).

    >>> from apps.imagegen import load_pipeline
    >>> load_pipeline(device="cpu").own_size
    (128, 128)
    """
    chosen = choose_device(device)
    with encodable(EMBEDDED if path is None else Path(path)) as readable:
        return _load(readable, chosen)


def _load(folder: Path, device: torch.device) -> Pipeline:
    index = _index(folder)
    noise = _json(folder / "scheduler" / "scheduler_config.json")
    check_noise(noise)
    unet, vae = _network(folder, "unet", UNet2DConditionModel), _network(folder, "vae", AutoencoderKL)
    _check_networks(unet, vae)
    whole = "text_encoder" in index
    tokenizer, encoder = _text(folder, index["text_encoder"][1]) if whole else load_text_encoder()
    side = int(2 ** (len(vae.config["block_out_channels"]) - 1))
    size = unet.config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    for net in (unet, vae):
        net.to(device, memory_format=torch.channels_last).eval().requires_grad_(requires_grad=False)
    return Pipeline(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=vae,
        unet=unet,
        scheduler_config=noise,
        digest=pipeline_digest(tokenizer, encoder, unet, vae, noise),
        own_size=(width * side, height * side),
        name=folder.resolve().name,
        cautions=_cautions(folder),
    )


def _cautions(folder: Path) -> tuple[str, ...]:
    index = _json(folder / "model_index.json")
    listed = index.get("safety_checker")
    if index.get("requires_safety_checker") is True or (isinstance(listed, list) and any(listed)):
        name = folder.resolve().name
        return (
            f"{name} asks for a safety checker, and none runs here: judge its pictures before others see them",
        )
    return ()


def _index(folder: Path) -> dict[str, Any]:
    """Return model_index.json without its empty entries. Raises InputError where its classes are not ours."""
    if not (folder / "model_index.json").is_file():
        raise PIPELINE("model_index_missing", folder=folder)
    index = _json(folder / "model_index.json")
    name = index.get("_class_name")
    if name not in _PIPELINES:
        raise PIPELINE("pipeline_class", folder=folder, name=name, wanted=_PIPELINES[0])
    named = {
        key: value for key, value in index.items() if isinstance(value, list) and len(value) == 2 and value[1]
    }
    wanted = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
    wrong = [
        f"{key} {named[key][1] if key in named else 'missing'}"
        for key in wanted
        if named.get(key, "??")[1] != wanted[key]
    ]
    if "text_encoder" in named and named["text_encoder"][1] not in _ENCODERS:
        wrong.append(f"text_encoder {named['text_encoder'][1]}")
    wrong += [key for key in ("image_encoder", "text_encoder_2", "transformer") if key in named]
    if wrong:
        raise PIPELINE(
            "pipeline_networks",
            folder=folder,
            wrong=", ".join(wrong),
            encoders=", ".join(_ENCODERS),
            **wanted,
        )
    return named


def _network(folder: Path, name: str, network: Any, **settings: Any) -> Any:
    """Load one network, float32. Every weight must be there: libraries would draw missing ones at random."""
    path = folder / name
    variant = _variant(path, "model" if name == "text_encoder" else "diffusion_pytorch_model")
    try:
        net, loading = network.from_pretrained(
            path,
            local_files_only=True,
            use_safetensors=True,
            variant=variant,
            output_loading_info=True,
            torch_dtype=torch.float32,
            **settings,
        )
    except (InputError, MemoryError):
        raise
    except Exception as error:  # each library has its own kinds of error for a broken file
        raise PIPELINE("weights_unreadable", folder=path) from error
    missing = loading["missing_keys"]
    if missing:
        raise PIPELINE("weights_incomplete", folder=path, count=len(missing), first=min(missing))
    return net


def _variant(folder: Path, base: str) -> str | None:
    """Return which files to take, None: the plain ones; fp16 where only these are. Raises InputError if none can be."""
    if not (folder / "config.json").is_file():
        raise PIPELINE("weights_config_missing", folder=folder)
    for variant in (None, "fp16"):
        files = _weight_files(folder, base, variant)
        for path in files:
            _check_readable(path)
        if files:
            return variant
    there = sorted(path.name for path in folder.glob("*.safetensors"))
    missing = f"{base}{SUFFIX}"
    if any(re.fullmatch(rf"{base}-\d+-of-\d+{SUFFIX}", name) for name in there):
        missing += ".index.json"
    elif not there and any(path.suffix in _PICKLES for path in folder.iterdir()):
        raise PIPELINE("weights_pickled", folder=folder)
    if not there:
        raise PIPELINE("weights_missing", folder=folder)
    raise PIPELINE("weights_file_missing", path=folder / missing, names=", ".join(there[:3]))


def _weight_files(folder: Path, base: str, variant: str | None) -> list[Path]:
    """Return the safetensors files of a variant, one or the shards that an index lists; none where it is not there.

    Raises InputError: weights_shard_missing, weights_index.
    """
    middle = f".{variant}" if variant else ""
    one, index = folder / f"{base}{middle}{SUFFIX}", folder / f"{base}{SUFFIX}.index{middle}.json"
    if one.is_file() or not index.is_file():
        return [one] if one.is_file() else []
    shards = _json(index).get("weight_map")
    if (
        not isinstance(shards, dict)
        or not shards
        or not all(isinstance(name, str) for name in shards.values())
    ):
        raise PIPELINE("weights_index", path=index)
    paths = [folder / Path(name).name for name in sorted(set(shards.values()))]
    for path in paths:
        if not path.is_file():
            raise PIPELINE("weights_shard_missing", path=path, count=len(paths))
    return paths


def _check_readable(path: Path) -> None:
    try:
        with safe_open(path, framework="pt") as opened:
            opened.keys()
    except Exception as error:
        raise PIPELINE("weights_not_safetensors", path=path) from error


def _text(folder: Path, name: str) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    settings = {"add_pooling_layer": False} if name == "BertModel" else {}
    encoder = _network(folder, "text_encoder", getattr(transformers, name), **settings)
    try:
        tokenizer = getattr(transformers, _ENCODERS[name]).from_pretrained(
            folder / "tokenizer", local_files_only=True
        )
    except Exception as error:
        raise PIPELINE("tokenizer_unreadable", folder=folder / "tokenizer", name=_ENCODERS[name]) from error
    most = getattr(encoder.config, "max_position_embeddings", tokenizer.model_max_length)
    tokenizer.model_max_length = min(tokenizer.model_max_length, most)
    return tokenizer, encoder.eval().requires_grad_(requires_grad=False)


def _check_networks(unet: UNet2DConditionModel, vae: AutoencoderKL) -> None:
    more = [name for name in _MORE_INPUTS if unet.config.get(name) is not None]
    if more:
        raise PIPELINE("pipeline_inputs", names=", ".join(more))
    taken, latents = unet.config["in_channels"], vae.config["latent_channels"]
    if taken != latents:
        raise PIPELINE("pipeline_channels", taken=taken, latents=latents)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise PIPELINE("model_file_missing", path=path) from error
    except ValueError as error:
        raise PIPELINE("model_file_not_json", path=path) from error
    if not isinstance(content, dict):
        raise PIPELINE("model_file_not_json", path=path)
    return content
