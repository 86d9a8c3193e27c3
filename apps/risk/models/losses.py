"""What riskformer learns from: quantile loss where the outcome is known, cross entropy of the event.

Legend: B rows, H steps, Q quantiles, G groups.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def quantile_loss(z_BHQ: Tensor, actual_BH: Tensor, counts_BH: Tensor, level_Q: Tensor) -> Tensor:
    """Return the mean pinball loss (Koenker & Bassett 1978, doi:10.2307/1913643), a scalar; 0 where nothing counts.

    actual_BH: scaled as z_BHQ, any number where counts_BH is False.
    """
    error = torch.where(counts_BH, actual_BH, 0.0)[..., None] - torch.where(counts_BH[..., None], z_BHQ, 0.0)
    loss = torch.maximum(level_Q * error, (level_Q - 1.0) * error).mean(dim=-1)
    return loss.sum() / counts_BH.sum().clamp(min=1)


def event_loss(logit_G: Tensor, event_G: Tensor, counts_G: Tensor) -> Tensor:
    """Return the mean cross entropy of an event, a scalar; 0 where no event counts. event_G: 0 or 1."""
    loss = F.binary_cross_entropy_with_logits(logit_G, torch.where(counts_G, event_G, 0.0), reduction="none")
    return torch.where(counts_G, loss, 0.0).sum() / counts_G.sum().clamp(min=1)
