from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from core.training.config import TrainerConfig
from core.training.optimizer import optimizer_and_schedule, rate_at


def test_the_rate_rises_in_the_warm_up_and_falls_by_a_cosine() -> None:
    trainer = TrainerConfig(max_steps=110, warmup_steps=10)
    assert [rate_at(step, trainer) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert rate_at(10, trainer) == 1.0
    assert rate_at(60, trainer) == pytest.approx(0.01 + 0.99 / 2)  # half-way of the cosine
    assert rate_at(85, trainer) == pytest.approx(0.01 + 0.99 * (1 - math.sqrt(0.5)) / 2)
    assert rate_at(110, trainer) == rate_at(10_000, trainer) == pytest.approx(0.01)
    fall = [rate_at(step, trainer) for step in range(10, 111)]
    assert fall == sorted(fall, reverse=True)


def test_without_warm_up_it_begins_at_the_highest_rate() -> None:
    assert rate_at(0, TrainerConfig(max_steps=5, warmup_steps=0)) == 1.0


@pytest.mark.parametrize("max_steps", [3, 10])
def test_a_warm_up_longer_than_the_training_ends_in_it(max_steps: int) -> None:
    trainer = TrainerConfig(max_steps=max_steps, warmup_steps=10)
    assert rate_at(max_steps - 1, trainer) == max_steps / 10


def test_norms_and_biases_do_not_decay_and_frozen_weights_are_left_out() -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Linear(2, 2))
    net[2].weight.requires_grad_(False)
    result = optimizer_and_schedule(
        net.parameters(), TrainerConfig(learning_rate=0.01, weight_decay=0.3, warmup_steps=4)
    )
    optimizer = result["optimizer"]
    assert isinstance(optimizer, torch.optim.AdamW)
    decaying, rest = optimizer.param_groups
    assert [tuple(p.shape) for p in decaying["params"]] == [(2, 1, 3, 3, 3)]
    assert [tuple(p.shape) for p in rest["params"]] == [(2,)] * 4
    assert (decaying["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0025, 0.0025]


def test_the_schedule_steps_with_each_optimizer_step() -> None:
    trainer = TrainerConfig(learning_rate=0.01, max_steps=6, warmup_steps=2)
    result = optimizer_and_schedule([nn.Parameter(torch.ones(2, 2))], trainer)
    assert result["lr_scheduler"]["interval"] == "step"
    optimizer, schedule = result["optimizer"], result["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.01 * rate_at(step, trainer) for step in range(6)])
