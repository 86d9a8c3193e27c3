"""Settings of the image app: every field with its unit and range; free of torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from apps.imagegen.reasons import OPTION
from core.compute.devices import ABOUT_DEVICE, DEVICES
from core.export.formats import chosen
from core.export.options import artifacts_option, check_device, formats_option, runtime_option
from core.serving.config import ServingConfig, host_option, port_option
from core.settings.schema import EVERY, MISSING, Section, free_text, path_text, section, setting
from core.text.quoting import shortened
from core.training.config import TrainerConfig

STAGES = {
    "train": "train autoencoder and denoiser from nothing",
    "personalise": "train an adapter on 5 to 20 pictures of one style or thing",
    "evaluate": "measure KID, caption match and reconstruction",
    "export": "write the pipeline as a folder that diffusers loads, or its networks in other formats",
    "generate": "draw pictures from prompts",
    "serve": "serve the OpenAI images API, the API of its own and the web page",
}
DRAWING = ("personalise", "evaluate", "generate", "serve")
SCHEDULERS = ("ddim", "ddpm", "euler", "euler_a", "dpmpp_2m", "unipc")
_SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
FITS = ("crop", "pad", "stretch")
STRENGTH = 0.7  # how much of a given picture may change where nothing is said


def size_of(text: str) -> tuple[int, int]:
    """Return width and height in pixels of a text such as 128x96; (0, 0) of auto. Raises ConfigError."""
    if text.strip().lower() == "auto":
        return 0, 0
    match = _SIZE.fullmatch(text.strip().lower().replace("×", "x"))
    if match is None:
        raise OPTION("size_unreadable", value=shortened(text, 40))
    return int(match[1]), int(match[2])


@dataclass
class DataConfig(Section):
    """What is trained on."""

    where: ClassVar[str] = "data"

    cache: str = path_text(
        ".cache/imagegen", "folder for fetched and prepared data; may be deleted at any time"
    )


@dataclass
class ModelConfig(Section):
    """Which pipeline draws."""

    where: ClassVar[str] = "model"

    path: str | None = path_text(
        None,
        "the former name of weights=, for this release",
        exists=True,
        stages=("personalise", "evaluate", "export", "generate", "serve"),
    )
    edge: int = setting(
        128,
        "width and height of the pictures trained on",
        unit="pixels",
        low=64,
        high=1024,
        stages=("train", "evaluate"),
    )
    device: str = setting("auto", ABOUT_DEVICE, choices=DEVICES, stages=DRAWING)


@dataclass
class AutoencoderConfig(TrainerConfig):
    """How long and how fast the autoencoder trains; trainer.… is the denoiser's."""

    where: ClassVar[str] = "autoencoder"


@dataclass
class ServeConfig(ServingConfig):
    """How the service answers: the options of every service, and those of its engine."""

    rows: int = setting(
        16,
        "rows of a batch; a picture takes two, or one without guidance",
        unit="rows",
        low=4,
        high=64,
        stages=("evaluate", "generate", "serve"),
    )
    waiting: int = setting(64, "queue capacity (HTTP 429 beyond it)", unit="pictures", low=1, high=100000)
    pixels_mp: float = setting(16.0, "largest uploaded picture", unit="million pixels", above=0, high=1000)
    pictures: int = setting(10, "most pictures of one request", unit="pictures", low=1, high=100)
    adapters_mb: float = setting(
        512.0,
        "memory for adapters and for weights with one added, beside the one in use",
        unit="MB",
        low=0,
        high=1_000_000,
    )
    kept: str | None = path_text(
        None,
        "folder for the answers to requests with an Idempotency-Key; their jobs are in the database of triptych-jobs",
        null="in the user's state folder",
    )
    kept_h: float = setting(12.0, "time for which such answers are kept", unit="hours", above=0, high=8760)
    kept_waiting: int = setting(
        1000, "such requests that may wait (HTTP 429 beyond it)", unit="requests", low=1, high=1_000_000
    )
    log_prompts: bool = setting(default=False, about="write prompts to the log")


@dataclass
class PersonaliseConfig(Section):
    """How an adapter learns from a few pictures."""

    where: ClassVar[str] = "personalise"

    rank: int = setting(4, "rank of the low-rank updates", low=1, high=128)
    prior_pictures: int = setting(
        32,
        "pictures that the model draws of the class beforehand, and should still draw after",
        low=0,
        high=1000,
    )
    prior_weight: float = setting(0.5, "weight of these pictures beside the given ones", low=0, high=10)


@dataclass
class EvaluateConfig(Section):
    """What an evaluation draws."""

    where: ClassVar[str] = "evaluate"

    pictures: int = setting(
        128, "pictures drawn for KID and caption match", unit="pictures", low=16, high=50000
    )


@dataclass
class ExportConfig(Section):
    """What an export is judged on."""

    where: ClassVar[str] = "export"

    steps: int = setting(
        8,
        "denoising steps of each of the 32 pictures on which KID and caption match are measured before and after",
        unit="steps",
        low=1,
        high=1000,
    )


@dataclass
class ImagegenConfig(Section):
    """The whole command line of triptych-imagegen."""

    # stage → experiment whose settings suit it, where nothing else was typed
    presets: ClassVar[Mapping[str, str]] = {"train": "emoji", "personalise": "personalise"}

    stage: str = setting(MISSING, "what to do", choices=STAGES, stages=EVERY)
    seed: int = setting(
        0,
        "seed of everything random; picture i uses seed + i",
        low=0,
        high=2**63 - 1,
        stages=("train", "personalise", "evaluate", "generate"),
    )
    prompt: str | None = free_text(None, "what to draw", stages=("generate",))
    prompts: str | None = path_text(
        None, "text file with a prompt a line, instead of prompt=", exists=True, stages=("generate",)
    )
    negative: str = free_text("", "what not to draw", stages=("generate",))
    n: int = setting(1, "pictures of each prompt", unit="pictures", low=1, high=1000, stages=("generate",))
    size: str = free_text(
        "auto", "width x height such as 128x128; auto: the model's own", stages=("generate",)
    )
    steps: int = setting(
        25,
        "denoising steps, at most as many as the noise of the model was trained on",
        unit="steps",
        low=1,
        stages=DRAWING,
    )
    guidance: float = setting(
        4.0,
        "how closely to follow the prompt; 1 or less: no guidance",
        low=0,
        high=30,
        stages=DRAWING,
    )
    scheduler: str = setting(
        "ddim",
        "sampler",
        choices=SCHEDULERS,
        stages=DRAWING,
    )
    image: str | None = path_text(
        None, "picture to start from, or to paint in", exists=True, stages=("generate",)
    )
    mask: str | None = path_text(
        None, "white where image= is to be drawn again", exists=True, stages=("generate",)
    )
    fit: str = setting(
        "crop",
        "how image= is brought to the size: crop cuts off its margins, pad adds white ones, stretch distorts",
        choices=FITS,
        stages=("generate", "serve"),
        only_with="image",
    )
    strength: float | None = setting(
        None,
        "how much of image= may change; null: 0.7, with a mask all of what it shows",
        above=0,
        high=1,
        stages=("generate", "serve"),
        only_with="image",
    )
    adapter: str | None = path_text(
        None,
        "adapter (LoRA): a safetensors file; for the service, a folder of them",
        exists=True,
        stages=("generate", "serve"),
    )
    adapter_scale: float = setting(
        1.0, "how strongly the adapter works", low=0, high=4, stages=("generate",), only_with="adapter"
    )
    probes: str = setting(
        "none",
        "attention: also draw where each word was looked at",
        choices=("none", "attention"),
        stages=("generate",),
    )
    replay: str | None = path_text(
        None,
        "a picture (PNG, JPEG, WebP) made here: make the same bytes again",
        exists=True,
        stages=("generate",),
    )
    images: str | None = path_text(
        None,
        "folder of 5 to 20 pictures of one style or thing",
        needed_by=("personalise",),
        exists=True,
    )
    token: str | None = free_text(
        None,
        "word that calls for it, such as '<sketch> style'",
        needed_by=("personalise",),
    )
    output: str | None = path_text(
        None,
        "folder for results; a second run writes the same bytes",
        needed_by=("generate", "evaluate", "export", "personalise"),
        stages=("personalise", "evaluate", "export", "generate"),
    )
    host: str = host_option(["serve"])
    port: int = port_option(["serve"])
    weights: str | None = path_text(
        None,
        "folder of a Stable Diffusion pipeline as diffusers saves it",
        null="the embedded one",
        exists=True,
        stages=("personalise", "evaluate", "export", "generate", "serve"),
    )
    formats: list[str] = formats_option([], also="; empty: a pipeline folder for diffusers")
    artifacts: str | None = artifacts_option(["generate", "serve"])
    runtime: str = runtime_option(["generate", "serve"])
    run_dir: str | None = path_text(
        None, "folder of this run's record; name an old one to resume it", stages=EVERY
    )
    data: DataConfig = section(DataConfig, stages=("train", "evaluate", "export"))
    model: ModelConfig = section(ModelConfig, stages=DRAWING)
    trainer: TrainerConfig = section(TrainerConfig, stages=("train", "personalise"))
    autoencoder: AutoencoderConfig = section(AutoencoderConfig, stages=("train",))
    serve: ServeConfig = section(ServeConfig, stages=("serve",))
    personalise: PersonaliseConfig = section(PersonaliseConfig, stages=("personalise",))
    evaluate: EvaluateConfig = section(EvaluateConfig, stages=("evaluate",))
    export: ExportConfig = section(ExportConfig, stages=("export",))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model.path is not None:
            if self.weights not in (None, self.model.path):
                raise OPTION("weights_named_twice")
            self.weights = self.model.path
        if self.stage == "generate" and [self.prompt, self.prompts, self.replay].count(None) != 2:
            raise OPTION("prompt_missing")
        if self.stage == "generate" and self.prompt is not None and not self.prompt.strip():
            raise OPTION("prompt_option_empty")
        size_of(self.size)
        if self.mask is not None and self.image is None:
            raise OPTION("mask_option_without_image")
        if self.formats:
            chosen(self.formats)
        check_device(self.artifacts, self.model.device, "model.device")
        if self.artifacts is not None and self.adapter is not None:
            raise OPTION("artifacts_adapter")
        if self.artifacts is not None and self.probes == "attention":
            raise OPTION("artifacts_attention")
