"""What is declared of the pipeline's four networks for an export: inputs, axes, samples, what they cannot become.

Legend: B rows of a batch, L latent channels, h, w rows and columns of latents, T tokens, D width of their states,
H, W rows and columns of a picture.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from apps.imagegen.models.pipeline_folder import TEXT_ENCODER, UNET, VAE_DECODER, VAE_ENCODER, Pipeline
from apps.imagegen.models.sampling import Sampled
from apps.imagegen.models.text import CHUNKS, takes_mask
from core.export.network import Network, Tensors
from core.export.ports import Axis, Port

ROWS = (2, 63)  # of a batch of the U-Net that its exported program takes
TIMED_ROWS = 8
_U_NET_ALONE = {
    "openvino_int8": "8-bit integers are for the U-Net, which takes most of a picture's time: this one they make "
    "no faster than bfloat16 does, or wrong"
}
_SLOW = "lowering the U-Net for XNNPACK does not end within five minutes"


class TextEncoder(nn.Module):
    """Token numbers (B, T), and the mask of padding where the encoder takes one, to states (B, T, D)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Tensor:  # noqa: D102
        states: Tensor = self.encoder(ids_BT, attention_mask=mask_BT)[0]
        return states


class Denoiser(nn.Module):
    """Latents (B, L, h, w), times (B,) and states of texts (B, T, D) to the U-Net's answer, (B, L, h, w)."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, latent_BLhw: Tensor, time_B: Tensor, state_BTD: Tensor) -> Tensor:  # noqa: D102
        answer: Tensor = self.unet(latent_BLhw, time_B, state_BTD, return_dict=False)[0]
        return answer


class Encoder(nn.Module):
    """A picture (1, 3, H, W) in -1 … 1 to mean and standard deviation of its latents, (1, L, h, w) each."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, rgb_1CHW: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        posterior = self.vae.encode(rgb_1CHW).latent_dist
        return posterior.mean, posterior.std


class Decoder(nn.Module):
    """Latents (1, L, h, w), divided by the scaling factor, to a picture (1, 3, H, W) in about -1 … 1."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent_1Lhw: Tensor) -> Tensor:  # noqa: D102
        seen: Tensor = self.vae.decode(latent_1Lhw, return_dict=False)[0]
        return seen


def networks_of(
    pipeline: Pipeline, real: Callable[[], Sampled], calibration: Callable[[], Sampled]
) -> list[Network]:
    """Return the declaration of all four networks.

    real, calibration: pictures that the pipeline draws, made where they are needed; the latter for 8-bit integers.
    """
    real, calibration = functools.cache(real), functools.cache(calibration)
    return [
        _text_encoder(pipeline, real),
        _unet(pipeline, real, calibration),
        _vae_encoder(pipeline, real),
        _vae_decoder(pipeline, real),
    ]


def _text_encoder(pipeline: Pipeline, real: Callable[[], Sampled]) -> Network:
    encoder, tokens = pipeline.text_encoder, int(pipeline.tokenizer.model_max_length)
    masked = takes_mask(encoder)
    ports: tuple[Port, ...] = (Port("ids", ("B", tokens), "int64", 0, int(encoder.config.vocab_size) - 1),)
    if masked:
        ports += (Port("mask", ("B", tokens), "int64", 0, 1),)

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> Tensors:
        shape = sizes["B"], tokens
        ids_BT = torch.randint(int(encoder.config.vocab_size), shape, generator=generator)
        length_B1 = torch.randint(2, tokens + 1, (sizes["B"], 1), generator=generator)
        mask_BT = (torch.arange(tokens)[None] < length_B1).long()
        return (ids_BT, mask_BT) if masked else (ids_BT,)

    def samples(sampled: Sampled) -> Iterator[Tensors]:
        yield from sampled.tokens

    return Network(
        name=TEXT_ENCODER,
        about="token numbers of a prompt to the states that condition the U-Net",
        module=TextEncoder(encoder).eval(),
        inputs=ports,
        outputs=(Port("states", ("B", tokens, _width(pipeline))),),
        axes=(Axis("B", 1, CHUNKS),),
        sizes=({"B": 2}, {"B": 1}, {"B": 5}),
        draw=draw,
        real=lambda: samples(real()),
        rows="B",
        not_applicable=_U_NET_ALONE,
    )


def _unet(pipeline: Pipeline, real: Callable[[], Sampled], calibration: Callable[[], Sampled]) -> Network:
    L, D, tokens = pipeline.latent_channels, _width(pipeline), int(pipeline.tokenizer.model_max_length)
    steps = int(pipeline.scheduler_config.get("num_train_timesteps", 1000))
    (h, w), (most_h, most_w) = _smallest(pipeline), _largest(pipeline)

    @functools.cache
    def texts() -> Tensor:
        # noise is no text: some channels of a text's states are fifteen times as large as the rest
        return pipeline.states(["", "red apple"])

    def draw(sizes: Mapping[str, int], generator: torch.Generator) -> Tensors:
        B, T = sizes["B"], sizes["T"]
        state_BTD = texts().repeat(-(-B // 2), -(-T // tokens), 1)[:B, :T]
        return (
            torch.randn(B, L, sizes["h"], sizes["w"], generator=generator),
            torch.rand(B, generator=generator) * (steps - 1),
            state_BTD + 0.1 * torch.randn(B, T, D, generator=generator),
        )

    return Network(
        name=UNET,
        about="one denoising step of several rows, each of its own time and text",
        module=Denoiser(pipeline.unet).eval(),
        inputs=(
            Port("latent", ("B", L, "h", "w")),
            Port("time", ("B",), low=0.0),
            Port("states", ("B", "T", D)),
        ),
        outputs=(Port("answer", ("B", L, "h", "w")),),
        axes=(Axis("B", *ROWS), *_grid(pipeline), Axis("T", tokens, CHUNKS * tokens)),
        sizes=(
            {"B": TIMED_ROWS, "h": h, "w": w, "T": tokens},
            {"B": 2, "h": most_h, "w": most_w, "T": 2 * tokens},
            {"B": 5, "h": h, "w": most_w, "T": tokens},
        ),
        draw=draw,
        real=lambda: iter(real().steps),
        calibration=lambda: iter(calibration().steps),
        rows="B",
        not_applicable={"executorch": _SLOW},
        attention=True,
    )


def _vae_encoder(pipeline: Pipeline, real: Callable[[], Sampled]) -> Network:
    L, factor = pipeline.latent_channels, pipeline.factor
    axes = tuple(
        Axis(name, axis.least * factor, axis.most * factor, axis.step * factor)
        for name, axis in zip("HW", _grid(pipeline), strict=True)
    )
    latents = (L, f"H/{factor}", f"W/{factor}")
    return Network(
        name=VAE_ENCODER,
        about="a picture to mean and standard deviation of its latents",
        module=Encoder(pipeline.vae).eval(),
        inputs=(Port("rgb", (1, 3, "H", "W"), low=-1.0, high=1.0),),
        outputs=(Port("mean", (1, *latents)), Port("deviation", (1, *latents))),
        axes=axes,
        sizes=_sizes(pipeline, ("H", "W"), factor),
        draw=lambda sizes, generator: (
            torch.rand(1, 3, sizes["H"], sizes["W"], generator=generator) * 2 - 1,
        ),
        real=lambda: ((picture,) for picture in real().pictures),
        not_applicable=_U_NET_ALONE,
    )


def _vae_decoder(pipeline: Pipeline, real: Callable[[], Sampled]) -> Network:
    L, factor = pipeline.latent_channels, pipeline.factor
    return Network(
        name=VAE_DECODER,
        about="latents, divided by the scaling factor, to a picture",
        module=Decoder(pipeline.vae).eval(),
        inputs=(Port("latent", (1, L, "h", "w")),),
        outputs=(Port("rgb", (1, 3, f"{factor} h", f"{factor} w")),),
        axes=_grid(pipeline),
        sizes=_sizes(pipeline, ("h", "w"), 1),
        draw=lambda sizes, generator: (torch.randn(1, L, sizes["h"], sizes["w"], generator=generator),),
        real=lambda: ((latent,) for latent in real().latents),
        not_applicable=_U_NET_ALONE,
    )


def _width(pipeline: Pipeline) -> int:
    return int(pipeline.unet.config["cross_attention_dim"])


def _smallest(pipeline: Pipeline) -> tuple[int, int]:
    width, height = pipeline.own_size
    return height // pipeline.factor, width // pipeline.factor


def _largest(pipeline: Pipeline) -> tuple[int, int]:
    width, height = pipeline.limits.sizes[-1]
    return height // pipeline.factor, width // pipeline.factor


def _grid(pipeline: Pipeline) -> tuple[Axis, Axis]:
    """Return the axes of latents: from the model's own size to the largest, in steps that the U-Net halves."""
    step = 2 ** (len(pipeline.unet.config["block_out_channels"]) - 1)
    own, most = _smallest(pipeline), _largest(pipeline)
    return Axis("h", own[0], most[0], step), Axis("w", own[1], most[1], step)


def _sizes(pipeline: Pipeline, names: tuple[str, str], factor: int) -> tuple[Mapping[str, int], ...]:
    (h, w), (most_h, most_w) = _smallest(pipeline), _largest(pipeline)
    return tuple(
        {names[0]: rows * factor, names[1]: columns * factor}
        for rows, columns in ((h, w), (most_h, most_w), (h, most_w))
    )
