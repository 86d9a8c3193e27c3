"""A network that forecasts nonsense is refused when it is loaded, and its series where it forecasts.

Legend: N series, T past steps, X whatever is forecast of a series (steps by quantiles or paths), B rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from apps.risk.models.transformer import RiskFormer, target_rows
from apps.risk.reasons import INPUTS
from core.compute.threads import one_thread

FAR = 20.0  # a forecast may lie so many ranges of the history beyond its lowest and highest value, and no further
PROBES = 8  # random walks and noise that a network is asked about when it is loaded


def require_sound(net: nn.Module, where: str) -> None:
    """Raise InputError, weights_unsound, for weights that are not finite, or a riskformer that forecasts nonsense."""
    with one_thread():  # so little is asked that waking other threads takes longer
        sound = all(bool(torch.isfinite(value).all()) for value in net.state_dict().values())
        if sound and isinstance(net, RiskFormer) and not len(net.statics):
            sound = not _probe(net).all()
    if not sound:
        raise INPUTS("weights_unsound", folder=where)


def implausible(forecast_NX: np.ndarray, past_NT: np.ndarray) -> np.ndarray:
    """Return whose forecast is not finite or lies FAR ranges of its history beyond it, (N,) bool.

    A series without a past, or one that never varied, has no range: then it has to be finite alone.
    """
    low_N = np.min(past_NT, axis=1, initial=np.inf, where=np.isfinite(past_NT))
    high_N = np.max(past_NT, axis=1, initial=-np.inf, where=np.isfinite(past_NT))
    room_N = np.where(high_N > low_N, FAR * (high_N - low_N), np.inf)
    flat_NX = forecast_NX.reshape(len(forecast_NX), -1)
    with np.errstate(invalid="ignore"):
        inside_NX = (flat_NX >= (low_N - room_N)[:, None]) & (flat_NX <= (high_N + room_N)[:, None])
    endless_N = ~np.isfinite(room_N)
    return ~np.where(endless_N, np.isfinite(flat_NX).all(axis=1), inside_NX.all(axis=1))


def _probe(net: RiskFormer) -> np.ndarray:
    """Return whose quantiles a patch ahead are implausible, (B,) bool, of noise and of random walks."""
    noise = np.random.default_rng(0).normal(size=(PROBES, 8 * net.size.patch))
    noise[::2] = noise[::2].cumsum(axis=1)
    past = torch.from_numpy(noise)
    with torch.inference_mode():
        quantile_BHQ = net(target_rows(past, torch.isfinite(past), net.size.patch, None)).quantile_BHQ()
    return implausible(quantile_BHQ.numpy(), noise)
