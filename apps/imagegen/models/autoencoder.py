"""The autoencoder of Stable Diffusion in small: pictures to latents an eighth as wide, and back.

Architecture: diffusers' AutoencoderKL (Rombach et al. 2022, arXiv:2112.10752).
Legend: B pictures, C channels, H rows, W columns, h, w those of latents, L latent channels.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

LATENT_CHANNELS = 8
FACTOR = 8
_WIDTHS = (16, 32, 96, 128)
_KL = 1e-6


def new_autoencoder(edge: int) -> AutoencoderKL:
    """Return an untrained autoencoder of 3.1 M parameters. edge: pixels of the pictures it is meant for."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(_WIDTHS),
        up_block_types=("UpDecoderBlock2D",) * len(_WIDTHS),
        block_out_channels=_WIDTHS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=edge,
        scaling_factor=1.0,
    )


def reconstruction_loss(
    net: AutoencoderKL, rgb_BCHW: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """Return the mean loss of seeing pictures, -1 to 1, through latents: L1, L2, edges, and a trace of the KL."""
    posterior = net.encode(rgb_BCHW).latent_dist
    seen_BCHW = net.decode(posterior.sample(generator)).sample.float()
    error_BCHW = seen_BCHW - rgb_BCHW
    edges = F.l1_loss(seen_BCHW.diff(dim=-1), rgb_BCHW.diff(dim=-1)) + F.l1_loss(
        seen_BCHW.diff(dim=-2), rgb_BCHW.diff(dim=-2)
    )
    pixels = error_BCHW.abs().mean() + 2.0 * error_BCHW.square().mean()
    return pixels + 0.5 * edges + _KL * posterior.kl().mean()


@torch.inference_mode()
def encode(net: AutoencoderKL, rgb_NHWC: Tensor, batch: int = 32) -> Tensor:
    """Return the means of latents of uint8 pictures, scaled as the denoiser sees them, (N, L, h, w) float32."""
    device = next(net.parameters()).device
    parts = [net.encode(to_signed(part).to(device)).latent_dist.mean.cpu() for part in rgb_NHWC.split(batch)]
    return torch.cat(parts) * float(net.config["scaling_factor"])


@torch.inference_mode()
def decode(net: AutoencoderKL, latent_NLhw: Tensor) -> Tensor:
    """Return pictures of latents, (N, H, W, C) uint8; one by one, so that each depends on its latent alone."""
    scale = float(net.config["scaling_factor"])
    parts = [net.decode(latent_NLhw[n : n + 1] / scale).sample for n in range(len(latent_NLhw))]
    return to_bytes(torch.cat(parts))


def to_signed(rgb_NHWC: Tensor) -> Tensor:
    """Return uint8 pictures as floats of -1 to 1, channels first."""
    return (rgb_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def to_bytes(rgb_NCHW: Tensor) -> Tensor:
    """Return floats of -1 to 1 as uint8 pictures, channels last; what lies beyond is cut off."""
    return ((rgb_NCHW.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


@torch.no_grad()
def standardise(net: AutoencoderKL, latent_NLhw: Tensor) -> None:
    """Give every latent channel mean 0 and variance 1 over some pictures, in place; pictures come out as before.

    The two 1×1 convolutions at the latents take the change, so that one scaling factor of 1 serves any pipeline.
    """
    mean_L, std_L = latent_NLhw.mean(dim=(0, 2, 3)), latent_NLhw.std(dim=(0, 2, 3))
    L = len(mean_L)
    into, back = net.quant_conv, net.post_quant_conv
    assert into is not None
    assert back is not None
    back.bias.add_(back.weight[:, :, 0, 0] @ mean_L)
    back.weight.mul_(std_L[None, :, None, None])
    into.weight[:L].div_(std_L[:, None, None, None])
    into.bias[:L].sub_(mean_L).div_(std_L)
    into.bias[L:].sub_(2.0 * std_L.log())
