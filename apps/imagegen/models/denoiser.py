"""The denoiser of Stable Diffusion in small: a U-Net over latents, conditioned on the words of a prompt.

Architecture: diffusers' UNet2DConditionModel (Rombach et al. 2022, arXiv:2112.10752).
Legend: B samples, L latent channels, h, w rows and columns of latents, T tokens, D of their states, S steps of noise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from apps.imagegen.models.autoencoder import FACTOR, LATENT_CHANNELS

STEPS = 1000
_WIDTHS = (80, 160, 256)
_GAMMA = 5.0
_FLOOR = 0.1  # least weight of a step: what a picture shows is decided where there is hardly any signal


def new_denoiser(edge: int, words: int) -> UNet2DConditionModel:
    """Return an untrained denoiser of 19.2 M parameters. edge: pixels of a picture. words: width of a token's state."""
    return UNet2DConditionModel(
        sample_size=edge // FACTOR,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        # attention over 16 × 16 positions costs three times the rest of the network, and few of them attend far
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=_WIDTHS,
        layers_per_block=1,
        cross_attention_dim=words,
        attention_head_dim=32,
        norm_num_groups=16,
    )


def training_scheduler() -> DDIMScheduler:
    """Return the noise that the denoiser is trained on; a folder of weights keeps it.

    Cosine by Nichol & Dhariwal 2021, arXiv:2102.09672. Latents are not clipped: DDIM's default
    would cut them to -1 … 1.
    """
    return DDIMScheduler(
        num_train_timesteps=STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        steps_offset=1,  # what plain pipelines expect; the spacing above does not use it
    )


@contextlib.contextmanager
def attention_for_learning(net: UNet2DConditionModel) -> Iterator[None]:
    """Let attention be computed in single operations on a CPU, as long as the block lasts.

    The backward pass of PyTorch's fused attention takes half of a training step there: 51 pictures a second with it,
    106 without (2 threads, bf16, PyTorch 2.13).
    """
    if net.device.type != "cpu":
        yield
        return
    kept = net.attn_processors
    net.set_attn_processor(AttnProcessor())
    try:
        yield
    finally:
        net.set_attn_processor(kept)


def denoising_loss(
    net: UNet2DConditionModel, alpha_S: Tensor, latent_BLhw: Tensor, state_BTD: Tensor
) -> Tensor:
    """Return the mean error of the velocity at random steps, each step weighted by min-SNR, but never by nothing.

    alpha_S: cumulative share of the signal. Sources: Salimans & Ho 2022, arXiv:2202.00512; Hang et al. 2023,
    arXiv:2303.09556.
    """
    B = len(latent_BLhw)
    step_B = torch.randint(0, len(alpha_S), (B,), device=latent_BLhw.device)
    alpha_B = alpha_S[step_B]
    signal_B, sigma_B = alpha_B.sqrt()[:, None, None, None], (1.0 - alpha_B).sqrt()[:, None, None, None]
    noise_BLhw = torch.randn_like(latent_BLhw)
    velocity_BLhw = signal_B * noise_BLhw - sigma_B * latent_BLhw
    predicted_BLhw = net(signal_B * latent_BLhw + sigma_B * noise_BLhw, step_B, state_BTD).sample
    error_B = (predicted_BLhw.float() - velocity_BLhw).square().mean(dim=(1, 2, 3))
    snr_B = alpha_B / (1.0 - alpha_B)
    return (error_B * (snr_B.clamp(max=_GAMMA) / (snr_B + 1.0)).clamp(min=_FLOOR)).mean()
