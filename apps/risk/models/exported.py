"""riskformer's networks as they are exported, tensors in and a tensor out; and exported ones in place of PyTorch's.

A file takes series in any unit, in float32. The app gives it series that were scaled in float64 before, of middle 0
and spread 1, which the network's own scaling leaves as they are: so a series around a billion loses nothing either.
Legend: B rows, or G groups of V rows each; R = B or G V rows, C steps of the past, S patches of P steps ahead, H = S P
steps, Q quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.risk.models.event_network import EventNetwork
from apps.risk.models.scaling import LARGEST, scale_of
from apps.risk.models.transformer import RiskFormer, Rows, target_rows

FORECAST, ALONE, EVENT = "forecast", "forecast_alone", "event"
WIDTH = 32  # the past is padded to a multiple: vector units round the last few of a row otherwise
FARTHEST = math.sinh(LARGEST)  # spreads from the middle beyond which scaling makes no difference

# Exported networks by name; those that are missing run in PyTorch.
Networks = Mapping[str, Callable[..., Any]]


class ForecastNetwork(nn.Module):
    """Quantiles of a riskformer: of groups whose rows see each other, or of rows that each stand alone."""

    def __init__(self, net: RiskFormer) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        past: Tensor,
        known: Tensor,
        ahead: Tensor,
        ahead_known: Tensor,
        kind: Tensor | None = None,
        code: Tensor | None = None,
        level: Tensor | None = None,
    ) -> Tensor:
        """Return (B, H, Q), or (G, V, H, Q) of groups, in the unit of the past.

        past, known: (B, C) or (G, V, C). ahead, ahead_known: one axis more, (…, S, P). kind, code, level: of a network
        that learned a table's columns, as in `Rows`.
        """
        grouped = past.ndim == 3
        variables = past.shape[1] if grouped else None
        rows = _rows((past, known, ahead.flatten(-2), ahead_known.flatten(-2)), kind, code, level)
        quantile_RHQ = self.net(rows, variables).quantile_BHQ()
        return quantile_RHQ.unflatten(0, (past.shape[0], past.shape[1])) if grouped else quantile_RHQ


class EventMembers(nn.Module):
    """Mean log-odds of some event networks, before their calibration."""

    def __init__(self, members: Sequence[EventNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self,
        past: Tensor,
        known: Tensor,
        ahead: Tensor,
        ahead_known: Tensor,
        kind: Tensor,
        code: Tensor,
        level: Tensor,
    ) -> Tensor:
        """Return (G,). past: (G, V, C); ahead: (G, V, H); the others as in `Rows`, (G, V, …)."""
        rows = _rows((past, known, ahead, ahead_known), kind, code, level)
        networks = [net for net in self.members if isinstance(net, EventNetwork)]
        return torch.stack([net.logits(rows, past.shape[1]) for net in networks]).mean(dim=0)


def quantiles_of(
    net: RiskFormer, networks: Networks, rows: Rows, variables: int | None, context: int
) -> Tensor:
    """Return quantiles of rows, (R, H, Q), in their unit, by the exported network where there is one.

    variables: as `RiskFormer.forward` takes it. context: steps of the past that the exported network takes.
    """
    run = networks.get(ALONE if variables is None else FORECAST)
    if run is None:
        return net(rows, variables).quantile_BHQ()
    horizon, scale = rows.ahead_BH.shape[1], scale_of(rows.past_BC, rows.known_BC)
    past, known, ahead, ahead_known, *described = _scaled(rows, variables, context, net.size.patch)
    patched = [part.unflatten(-1, (-1, net.size.patch)) for part in (ahead, ahead_known)]
    given = (past, known, *patched, *(described if len(net.statics) else ()))
    distance_RHQ = run(*given).to(scale.middle_B.dtype)
    if variables is not None:
        distance_RHQ = distance_RHQ.flatten(0, 1)
    distance_RHQ = distance_RHQ[:, :horizon]
    return scale.middle_B[:, None, None] + scale.spread_B[:, None, None] * distance_RHQ


def log_odds_of(run: Callable[..., Any], rows: Rows, variables: int) -> Tensor:
    """Return what an exported network of the event answers of groups of rows, (G,), before calibration."""
    logits: Tensor = run(*_scaled(rows, variables, rows.past_BC.shape[1], 1))
    return logits


def padded(context: int) -> int:
    """Return the steps of the past that an exported forecast takes: the context, padded as the app pads it."""
    return context + -context % WIDTH


def _rows(
    times: tuple[Tensor, Tensor, Tensor, Tensor],
    kind: Tensor | None,
    code: Tensor | None,
    level: Tensor | None,
) -> Rows:
    """Return tensors of groups, or of rows, as rows."""
    grouped = times[0].ndim == 3
    past, known, ahead, ahead_known = (part.flatten(0, 1) if grouped else part for part in times)
    rows = target_rows(past, known, ahead.shape[1], None)._replace(ahead_BH=ahead, known_BH=ahead_known)
    if kind is None or code is None or level is None:
        return rows
    return rows._replace(kind_B=kind.flatten(0, 1), code_BS=code.flatten(0, 1), level_B2=level.flatten(0, 1))


def _scaled(rows: Rows, variables: int | None, context: int, patch: int) -> tuple[Tensor, ...]:
    """Return the inputs of an exported network; a past is padded to the context, what is ahead to whole patches."""
    scale = scale_of(rows.past_BC, rows.known_BC)

    def distance(value: Tensor, known: Tensor) -> Tensor:
        moved = (value - scale.middle_B[:, None]) / scale.spread_B[:, None]
        return torch.where(known, moved, 0.0).clamp(-FARTHEST, FARTHEST).float()

    left = (context - rows.past_BC.shape[1], 0)
    right = (0, -rows.ahead_BH.shape[1] % patch)
    parts = (
        F.pad(distance(rows.past_BC, rows.known_BC), left),
        F.pad(rows.known_BC, left),
        F.pad(distance(rows.ahead_BH, rows.known_BH), right),
        F.pad(rows.known_BH, right),
        rows.kind_B,
        rows.code_BS,
        rows.level_B2.float(),
    )
    return parts if variables is None else tuple(part.unflatten(0, (-1, variables)) for part in parts)
