"""Learning an adapter: it begins as nothing, it alone is trained and kept, and it leaves the denoiser as it was."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from apps.imagegen.models.lora_learning import (
    TARGETS,
    Personalising,
    add_adapter,
    noise_loss,
    take_adapter,
)
from core.training.config import TrainerConfig


def _net() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(
        sample_size=4,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        block_out_channels=(16,),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=8,
        norm_num_groups=8,
    )


@torch.no_grad()
def _answer(net: UNet2DConditionModel) -> torch.Tensor:
    torch.manual_seed(1)
    return net(torch.randn(2, 4, 4, 4), 500, torch.randn(2, 3, 8)).sample


def _alpha() -> torch.Tensor:
    return DDIMScheduler().alphas_cumprod


def test_an_adapter_begins_as_nothing_and_leaves_no_trace() -> None:
    net = _net()
    before, weights = _answer(net), dict(net.named_parameters())
    add_adapter(net, 2, 7)
    assert torch.equal(_answer(net), before)
    trained = [name for name, one in net.named_parameters() if one.requires_grad]
    assert trained
    assert all(".lora_" in name for name in trained)
    updates = take_adapter(net)
    assert {target for target in TARGETS if any(name.endswith(target) for name in updates)} == set(TARGETS)
    assert {(len(one.down), one.alpha, float(one.up.abs().max())) for one in updates.values()} == {
        (2, 2.0, 0.0)
    }
    assert dict(net.named_parameters()).keys() == weights.keys()
    assert all(one is weights[name] for name, one in net.named_parameters())
    assert torch.equal(_answer(net), before)


def test_the_same_seed_begins_the_same_and_no_other_draws_change() -> None:
    begun = []
    for seed in (7, 7, 8):
        net = _net()
        state = torch.get_rng_state()
        add_adapter(net, 2, seed)
        assert torch.equal(torch.get_rng_state(), state)
        begun.append(next(iter(take_adapter(net).values())).down)
    assert torch.equal(begun[0], begun[1])
    assert not torch.equal(begun[0], begun[2])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_adapter_alone_is_trained_and_kept(prediction: str) -> None:
    net = _net()
    add_adapter(net, 2, 7)
    trainer = TrainerConfig(max_steps=16, learning_rate=0.02, warmup_steps=1)
    module = Personalising(net, _alpha(), prediction, trainer)
    kept = module.state_dict()
    assert all(name.startswith("adapter.") for name in kept)
    assert len(kept) == sum(one.requires_grad for one in net.parameters())
    fixed = {name: one.detach().clone() for name, one in net.named_parameters() if not one.requires_grad}
    optimizer = module.configure_optimizers()["optimizer"]
    batch = torch.ones(4, 4, 4, 4), torch.randn(4, 3, 8).half()
    losses = []
    for number in range(16):
        torch.manual_seed(number % 2)
        loss = module.training_step(batch, number)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sum(losses[-2:]) < 0.9 * sum(losses[:2])
    assert all(torch.equal(one, fixed[name]) for name, one in net.named_parameters() if name in fixed)
    assert all(float(one.up.abs().max()) > 0 for one in take_adapter(net).values())


def test_the_loss_of_noise_is_weighted_by_min_snr() -> None:
    """Hang et al. 2023, equation 7 for noise: min(SNR, γ) / SNR with γ = 5; here a net that always finds zero."""

    class Nothing(torch.nn.Module):
        def forward(self, noisy: torch.Tensor, step: torch.Tensor, state: torch.Tensor) -> object:
            return type("Output", (), {"sample": torch.zeros_like(noisy)})

    latent = torch.zeros(4000, 1, 4, 4)
    for alpha, weight in ((0.5, 1.0), (5 / 6, 1.0), (0.9, 5 / 9), (0.99, 5 / 99)):
        torch.manual_seed(0)
        loss = noise_loss(Nothing(), torch.tensor([alpha]), latent, torch.zeros(4000, 1, 1))
        assert loss.item() == pytest.approx(weight, rel=0.02)
