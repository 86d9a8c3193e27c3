"""What riskformer learns from: quantile loss where the outcome is known, cross entropy of the event.

Legend: B rows, K futures, H steps, Q quantiles, G groups.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def quantile_loss(z_BHQ: Tensor, actual_BKH: Tensor, counts_BKH: Tensor, level_Q: Tensor) -> Tensor:
    """Return the mean pinball loss (Koenker & Bassett 1978, doi:10.2307/1913643), a scalar; 0 where nothing counts.

    actual_BKH: what came in each of K futures, scaled as z_BHQ; any number where counts_BKH is False. A level counts
    by 1 / sqrt(level (1 - level)), so that those of the tails, whose loss is small, are learned as well.
    """
    counts = counts_BKH[..., None]
    error = torch.where(counts_BKH, actual_BKH, 0.0)[..., None] - torch.where(counts, z_BHQ[:, None], 0.0)
    loss = torch.maximum(level_Q * error, (level_Q - 1.0) * error)
    weight_Q = (level_Q * (1.0 - level_Q)).rsqrt()
    return (loss @ (weight_Q / weight_Q.sum())).sum() / counts_BKH.sum().clamp(min=1)


def event_loss(logit_G: Tensor, event_G: Tensor, counts_G: Tensor) -> Tensor:
    """Return the mean cross entropy of an event, a scalar; 0 where no event counts. event_G: 0 or 1."""
    loss = F.binary_cross_entropy_with_logits(logit_G, torch.where(counts_G, event_G, 0.0), reduction="none")
    return torch.where(counts_G, loss, 0.0).sum() / counts_G.sum().clamp(min=1)
