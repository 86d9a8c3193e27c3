"""A few steps of training make the loss fall, on the CPU, in seconds."""

from __future__ import annotations

import numpy as np
import torch

from apps.risk.data.mixture import Material, Mixture
from apps.risk.models.learning import Forecasting
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import Kind, RiskFormer, target_rows
from core.training.config import TrainerConfig

SIZE = Size(width=16, layers=2, heads=2, kv_heads=1, hidden=24, patch=8, group_every=2)


def test_a_lesson_is_learned() -> None:
    torch.manual_seed(0)
    source = Mixture(Material(np.random.default_rng(0).normal(size=(4, 200))), {"simulated": 1.0}, 32, 8, 8)
    module = Forecasting(RiskFormer(SIZE), TrainerConfig(max_steps=40, learning_rate=5e-3, warmup_steps=1))
    optimizer = module.configure_optimizers()["optimizer"]
    losses = []
    for step in range(40):
        loss = module.training_step(
            source.lesson(0, 0, 32), step
        )  # one lesson again and again: it is learned
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.net.quantile_head.parameters())


def test_rows_of_targets_know_nothing_ahead() -> None:
    rows = target_rows(torch.ones(3, 16), torch.ones(3, 16, dtype=torch.bool), 5, None)
    assert rows.ahead_BH.shape == (3, 5)
    assert not rows.known_BH.any()
    assert set(rows.kind_B.tolist()) == {int(Kind.TARGET)}
