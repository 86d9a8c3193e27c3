"""riskformer asked for the event alone, of many clients with the same variables each.

Legend: G groups (clients), V rows of each, R = G V rows, N tokens of a row, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from apps.risk.models.attention import rotary
from apps.risk.models.scaling import scale_of, scaled
from apps.risk.models.transformer import Layer, RiskFormer, Rows


class EventNetwork(RiskFormer):
    """A RiskFormer, with the same weights, that takes groups of V neighbouring rows each.

    `RiskFormer.forward` compares each row of a batch with each other, whatever the groups; here a row meets those
    of its group only, so that a batch may be large.
    """

    def logits(self, rows: Rows, variables: int) -> Tensor:
        """Return the event's log-odds, (G,): those of `self(rows).event_G`. variables: V; group_B is not looked at."""
        R, V = len(rows.past_BC), variables
        scale = scale_of(rows.past_BC, rows.known_BC)
        past = self._patches(scaled(rows.past_BC, scale), rows.known_BC, left=True, ahead=False)
        ahead = self._patches(scaled(rows.ahead_BH, scale), rows.known_BH, left=False, ahead=True)
        x_RND = torch.cat([self._row(rows)[:, None], past.token_BND, ahead.token_BND], dim=1)
        seen_RN = torch.cat([rows.known_BC.new_ones(R, 1), past.seen_BN, ahead.seen_BN], dim=1)
        first = -past.token_BND.shape[1]
        position_N = torch.arange(first - 1, first - 1 + x_RND.shape[1], device=x_RND.device)
        rotary_2Nd = rotary(
            torch.where(position_N < first, 0, position_N), self.size.width // self.size.heads
        )
        itself_VV = torch.eye(V, dtype=torch.bool, device=x_RND.device)
        seen_GN1V = seen_RN.view(-1, V, seen_RN.shape[1]).transpose(1, 2)[:, :, None]
        may_see = (seen_GN1V | itself_VV).flatten(0, 1)[:, None]
        for number, layer in enumerate(self.layers, start=1):
            assert isinstance(layer, Layer)
            if not layer.over_group:
                x_RND = layer(x_RND, seen_RN, None, rotary_2Nd)
            elif number < len(self.layers):
                x_RND = _over_group(layer, x_RND, may_see, V)
            else:  # what counts in the end are the tokens of the rows themselves, which all see each other
                x_RND = _over_group(layer, x_RND[:, :1], None, V)
        row_GVD = self.norm(x_RND[:, 0]).view(-1, V, x_RND.shape[-1])
        return self.event_head(row_GVD.mean(dim=1))[:, 0]


def _over_group(layer: Layer, x_RND: Tensor, may_see: Tensor | None, V: int) -> Tensor:
    R, N, D = x_RND.shape
    x = layer.attention_norm(x_RND).view(-1, V, N, D).transpose(1, 2).reshape(-1, V, D)
    mixed = layer.attention(x, may_see, None).view(-1, N, V, D).transpose(1, 2).reshape(R, N, D)
    x_RND = x_RND + mixed
    return x_RND + layer.feed(layer.feed_norm(x_RND))
