from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL

from apps.imagegen.models.autoencoder import (
    LATENT_CHANNELS,
    decode,
    encode,
    new_autoencoder,
    reconstruction_loss,
    standardise,
    to_bytes,
    to_signed,
)


@pytest.fixture(scope="module")
def net() -> AutoencoderKL:
    torch.manual_seed(0)
    return new_autoencoder(64).eval().requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def rgb_NHWC() -> torch.Tensor:
    return torch.randint(
        0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def test_it_is_diffusers_own_class_of_three_million_parameters(net: AutoencoderKL) -> None:
    assert type(net) is AutoencoderKL
    assert sum(parameter.numel() for parameter in net.parameters()) == 3_119_291


def test_latents_are_an_eighth_as_wide(net: AutoencoderKL, rgb_NHWC: torch.Tensor) -> None:
    latent_NLhw = encode(net, rgb_NHWC, batch=2)
    assert latent_NLhw.shape == (3, LATENT_CHANNELS, 8, 8)
    assert decode(net, latent_NLhw).shape == rgb_NHWC.shape


def test_bytes_and_signed_floats_are_the_same_pictures(rgb_NHWC: torch.Tensor) -> None:
    signed = to_signed(rgb_NHWC)
    assert signed.min() >= -1
    assert signed.max() <= 1
    assert torch.equal(to_bytes(signed), rgb_NHWC)
    assert to_bytes(torch.tensor([[[[-9.0]], [[9.0]]]])).flatten().tolist() == [0, 255]


def test_a_picture_does_not_depend_on_those_decoded_with_it(
    net: AutoencoderKL, rgb_NHWC: torch.Tensor
) -> None:
    latent_NLhw = encode(net, rgb_NHWC)
    assert torch.equal(decode(net, latent_NLhw)[1:2], decode(net, latent_NLhw[1:2]))


def test_standardised_latents_have_one_scale_and_the_same_pictures(rgb_NHWC: torch.Tensor) -> None:
    torch.manual_seed(2)
    net = new_autoencoder(64).eval().requires_grad_(requires_grad=False)
    before, moments = decode(net, encode(net, rgb_NHWC)), net.encode(to_signed(rgb_NHWC)).latent_dist
    plain_NLhw = encode(net, rgb_NHWC)
    standardise(net, plain_NLhw)
    latent_NLhw = encode(net, rgb_NHWC)
    assert latent_NLhw.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (latent_NLhw.std(dim=(0, 2, 3)) - 1.0).abs().max() < 1e-3
    assert (decode(net, latent_NLhw).int() - before.int()).abs().max() <= 1
    spread_L = plain_NLhw.std(dim=(0, 2, 3))[None, :, None, None]
    after = net.encode(to_signed(rgb_NHWC)).latent_dist
    assert torch.allclose(after.std * spread_L, moments.std, rtol=1e-3)


def test_the_loss_falls_in_a_few_steps_and_rewards_sharp_edges(rgb_NHWC: torch.Tensor) -> None:
    torch.manual_seed(3)
    net = new_autoencoder(64)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    flat = torch.full((2, 64, 64, 3), 30, dtype=torch.uint8)
    flat[:, 16:48, 16:48] = 220
    losses = []
    for _ in range(12):
        loss = reconstruction_loss(net, to_signed(flat))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
