"""A network of a few thousand weights, not trained, for tests of what is built around it."""

from __future__ import annotations

import torch

from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.sizes import Size
from apps.risk.models.transformer import RiskFormer

SMALL = Size(width=16, layers=2, heads=2, kv_heads=1, hidden=24, patch=8, group_every=2)


def untrained(context: int = 32, seed: int = 0) -> RiskformerTargets:
    """Return riskformer with random weights: its answers depend on the past all the same."""
    torch.manual_seed(seed)
    return RiskformerTargets(RiskFormer(SMALL).eval(), context)
