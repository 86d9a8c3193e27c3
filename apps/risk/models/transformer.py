"""riskformer: a transformer over patches of time and over related series, to quantiles and an event's probability.

One row is one variable of one entity: a target, an observed or known-in-advance covariate, a static number. Rows of
one group (a client's variables, a portfolio's assets) see each other in every so-manieth layer, so any number of
covariates and related series is taken without weights of their own (group attention: Ansari et al. 2025,
arXiv:2510.15821). The past and the patches to forecast stand in one sequence; all of the horizon is forecast at once.

Legend: B rows, C steps of the past, H steps of the horizon, P steps a patch, N tokens (1 for the row itself, then
past, then horizon), D width, Q quantiles, G groups, S statics, K kinds of row.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from apps.risk.models.attention import Attention, FeedForward, rotary
from apps.risk.models.scaling import Scale, scale_of, scaled, unscaled
from apps.risk.models.sizes import QUANTILE_LEVELS, Size

ENOUGH = 8  # rows from which a matrix product rounds each row as it does among many


class Kind(IntEnum):
    """What a row is."""

    TARGET = 0
    OBSERVED = 1
    KNOWN = 2
    STATIC = 3


class Rows(NamedTuple):
    """Input of riskformer.

    past_BC, ahead_BH: float64 as in a panel, or float32; any number where nothing is known. known_BC, known_BH: bool
    (of the horizon only what is known in advance). kind_B: Kind. group_B: int64, 0..G-1, rows of one group together or
    None, each row alone. code_BS: int64, categories of the row's entity, 0 for unseen; S may be 0. level_B2: how large
    and how variable the series is beside others, standardised, which scaling takes away; 0 where that tells nothing.
    """

    past_BC: Tensor
    known_BC: Tensor
    ahead_BH: Tensor
    known_BH: Tensor
    kind_B: Tensor
    group_B: Tensor | None
    code_BS: Tensor
    level_B2: Tensor


def target_rows(past_BC: Tensor, known_BC: Tensor, horizon: int, group_B: Tensor | None) -> Rows:
    """Return the network's input for series of which nothing is known in advance. known_BC: bool."""
    B = past_BC.shape[0]
    return Rows(
        past_BC=past_BC,
        known_BC=known_BC,
        ahead_BH=past_BC.new_zeros(B, horizon),
        known_BH=torch.zeros(B, horizon, dtype=torch.bool, device=past_BC.device),
        kind_B=torch.full((B,), int(Kind.TARGET), device=past_BC.device),
        group_B=group_B,
        code_BS=torch.zeros(B, 0, dtype=torch.int64, device=past_BC.device),
        level_B2=past_BC.new_zeros(B, 2),
    )


class Forecast(NamedTuple):
    """z_BHQ: quantiles of the scaled series, rising along Q. scale: undoes the scaling. event_G: logits."""

    z_BHQ: Tensor
    scale: Scale
    event_G: Tensor

    def quantile_BHQ(self) -> Tensor:
        """Return the quantiles in the series' own unit."""
        return unscaled(self.z_BHQ, self.scale)


class Tokens(NamedTuple):
    """Rows as the first layer takes them. seen_BN: bool, may be attended to. ahead: how many of the N lie ahead."""

    x_BND: Tensor
    seen_BN: Tensor
    rotary_2Nd: Tensor
    ahead: int
    scale: Scale


class RiskFormer(nn.Module):
    """The network. categories: number of codes of each static, the unseen one (0) included."""

    def __init__(self, size: Size, categories: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.size = size
        self.levels = QUANTILE_LEVELS
        self.kind = nn.Embedding(len(Kind), size.width)
        self.statics = nn.ModuleList(nn.Embedding(count, size.width) for count in categories)
        self.level = nn.Linear(2, size.width)
        self.patch = PatchEmbedding(size)
        self.layers = nn.ModuleList(
            Layer(size, over_group=(number + 1) % size.group_every == 0) for number in range(size.layers)
        )
        self.norm = nn.RMSNorm(size.width)
        self.quantile_head = QuantileHead(size, self.levels)
        self.event_head = nn.Linear(size.width, 1)

    def forward(self, rows: Rows, variables: int | None = None) -> Forecast:
        """Return quantiles of every row (those of covariates mean nothing) and the event's logit of every group.

        variables: where each group is so many neighbouring rows; the same is computed, in less time.
        """
        tokens, H = self.tokens(rows), rows.ahead_BH.shape[1]
        x_BND = tokens.x_BND
        together_BB, may_see = None, None
        if variables is not None:
            may_see = among_neighbours(tokens.seen_BN, variables)
        elif rows.group_B is not None:
            together_BB = rows.group_B[:, None] == rows.group_B
        for layer in self.layers:
            assert isinstance(layer, Layer)
            if layer.over_group and variables is not None:
                x_BND = layer.among(x_BND, may_see, variables)
            else:
                x_BND = layer(x_BND, tokens.seen_BN, together_BB, tokens.rotary_2Nd)
        x_BND = self.norm(x_BND)
        z_BHQ = self.quantile_head(x_BND[:, -tokens.ahead :])[:, :H]
        return Forecast(
            z_BHQ, tokens.scale, self.event_head(_mean_of_groups(x_BND[:, 0], rows.group_B))[:, 0]
        )

    def tokens(self, rows: Rows) -> Tokens:
        """Return what the first layer takes."""
        scale = scale_of(rows.past_BC, rows.known_BC)
        past = self._patches(scaled(rows.past_BC, scale), rows.known_BC, left=True, ahead=False)
        ahead = self._patches(scaled(rows.ahead_BH, scale), rows.known_BH, left=False, ahead=True)
        token_BND = self.patch(torch.cat([past.input_BNI, ahead.input_BNI], dim=1))
        x_BND = torch.cat([self._row(rows)[:, None], token_BND], dim=1)
        seen_BN = torch.cat([rows.known_BC.new_ones(x_BND.shape[0], 1), past.seen_BN, ahead.seen_BN], dim=1)
        # the horizon begins at position 0, and so does the row itself: a longer past of nothing changes nothing
        first = -past.input_BNI.shape[1]
        position_N = torch.arange(first - 1, first - 1 + x_BND.shape[1], device=x_BND.device)
        position_N = torch.where(position_N < first, 0, position_N)
        rotary_2Nd = rotary(position_N, self.size.width // self.size.heads)
        return Tokens(x_BND, seen_BN, rotary_2Nd, ahead.input_BNI.shape[1], scale)

    def _row(self, rows: Rows) -> Tensor:
        level_BD = among_enough(self.level, rows.level_B2.to(self.level.weight.dtype))
        x_BD = self.kind(rows.kind_B) + level_BD
        for index, embedding in enumerate(self.statics):
            x_BD = x_BD + embedding(rows.code_BS[:, index])
        return x_BD

    def _patches(self, z: Tensor, known: Tensor, *, left: bool, ahead: bool) -> Patches:
        P = self.size.patch
        rest = -z.shape[1] % P
        pad = (rest, 0) if left else (0, rest)
        z = F.pad(torch.where(known, z, 0.0).to(self.level.weight.dtype), pad)
        known = F.pad(known, pad)
        z_BNP, known_BNP = z.unflatten(1, (-1, P)), known.unflatten(1, (-1, P))
        # a patch of the past in which nothing is known is not attended to; one to forecast always is
        seen_BN = torch.ones_like(known_BNP[..., 0]) if ahead else known_BNP.any(dim=-1)
        flag_BN1 = torch.full_like(z_BNP[..., :1], float(ahead))
        return Patches(torch.cat([z_BNP, known_BNP.to(z_BNP.dtype), flag_BN1], dim=-1), seen_BN)


class Patches(NamedTuple):
    """What the tokens of one stretch of time are made of, I numbers each, and which may be attended to."""

    input_BNI: Tensor
    seen_BN: Tensor


class PatchEmbedding(nn.Module):
    """A patch's values, which of them are known, and whether it lies ahead, to one token."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        inputs = 2 * size.patch + 1
        self.hidden = nn.Linear(inputs, size.width)
        self.out = nn.Linear(size.width, size.width)
        self.straight = nn.Linear(inputs, size.width)

    def forward(self, input_BNI: Tensor) -> Tensor:
        """Return (B, N, D)."""
        return self.straight(input_BNI) + self.out(F.silu(self.hidden(input_BNI)))


class Layer(nn.Module):
    """Attention over the times of one row, or over the rows of one group at one time; then feed-forward."""

    def __init__(self, size: Size, *, over_group: bool) -> None:
        super().__init__()
        self.over_group = over_group
        self.attention_norm, self.feed_norm = nn.RMSNorm(size.width), nn.RMSNorm(size.width)
        self.attention = Attention(size)
        self.feed = FeedForward(size)

    def forward(
        self, x_BND: Tensor, seen_BN: Tensor, together_BB: Tensor | None, rotary_2Nd: Tensor
    ) -> Tensor:
        """Keep the shape. together_BB: None: each row is a group of its own."""
        x = self.attention_norm(x_BND)
        if not self.over_group:
            mixed = self.attention(x, seen_BN[:, None, None, :], rotary_2Nd)
        elif together_BB is None:
            mixed = self.attention(x.flatten(0, 1)[:, None], None, None).view_as(x)
        else:
            # at each time a row sees itself, and those of its group of which something is known then
            itself = torch.eye(x.shape[0], dtype=torch.bool, device=x.device)
            may_see = (together_BB & seen_BN.T[:, None, None, :]) | itself
            mixed = self.attention(x.transpose(0, 1), may_see, None).transpose(0, 1)
        x_BND = x_BND + mixed
        return x_BND + self.feed(self.feed_norm(x_BND))

    def among(self, x_BND: Tensor, may_see: Tensor | None, variables: int) -> Tensor:
        """Do the same over groups of V neighbouring rows each. may_see: of `among_neighbours`; None: each other."""
        B, N, D = x_BND.shape
        x = self.attention_norm(x_BND).view(-1, variables, N, D).transpose(1, 2).reshape(-1, variables, D)
        mixed = self.attention(x, may_see, None).view(-1, N, variables, D).transpose(1, 2).reshape(B, N, D)
        x_BND = x_BND + mixed
        return x_BND + self.feed(self.feed_norm(x_BND))


def among_neighbours(seen_BN: Tensor, variables: int) -> Tensor:
    """Return what a row may see among V neighbours at each time, (G N, 1, V, V) bool: itself, and what is seen then."""
    itself_VV = torch.eye(variables, dtype=torch.bool, device=seen_BN.device)
    seen_GN1V = seen_BN.view(-1, variables, seen_BN.shape[1]).transpose(1, 2)[:, :, None]
    return (seen_GN1V | itself_VV).flatten(0, 1)[:, None]


class QuantileHead(nn.Module):
    """A token to the quantiles of each of its steps, which cannot cross: the median, and steps up and down from it."""

    def __init__(self, size: Size, levels: tuple[float, ...]) -> None:
        super().__init__()
        self.patch, self.quantiles = size.patch, len(levels)
        self.linear = nn.Linear(size.width, size.patch * len(levels))
        # begin with the quantiles of a normal law, whose mean absolute deviation is one spread
        z_Q = torch.asinh(torch.special.ndtri(torch.tensor(levels)) * math.sqrt(math.pi / 2))
        step_Q = z_Q.diff().abs().expm1().log()
        half = len(levels) // 2
        start_Q = torch.cat([step_Q[:half], torch.zeros(1), step_Q[half:]])
        nn.init.normal_(self.linear.weight, std=0.02)
        self.linear.bias = nn.Parameter(start_Q.repeat(size.patch))

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return (B, N × P, Q), rising along Q."""
        raw = among_enough(self.linear, x_BND.flatten(0, 1)).view(
            *x_BND.shape[:2], self.patch, self.quantiles
        )
        raw = raw.flatten(1, 2)
        half = self.quantiles // 2
        median = raw[..., half : half + 1]
        down = F.softplus(raw[..., :half]).flip(-1).cumsum(-1).flip(-1)
        up = F.softplus(raw[..., half + 1 :]).cumsum(-1)
        return torch.cat([median - down, median, median + up], dim=-1)


def among_enough(linear: nn.Linear, x_RD: Tensor) -> Tensor:
    """Return linear(x), (R, …), in which a row's last bits do not depend on how many others are asked about.

    With few rows the product takes another kernel: so there are never so few.
    """
    return linear(F.pad(x_RD, (0, 0, 0, ENOUGH)))[:-ENOUGH]


def _mean_of_groups(x_BD: Tensor, group_B: Tensor | None) -> Tensor:
    if group_B is None:
        return x_BD
    groups = int(group_B.max()) + 1
    sums = x_BD.new_zeros(groups, x_BD.shape[1]).index_add_(0, group_B, x_BD)
    counts = x_BD.new_zeros(groups).index_add_(0, group_B, torch.ones_like(x_BD[:, 0]))
    return sums / counts[:, None].clamp(min=1.0)
