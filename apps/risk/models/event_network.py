"""riskformer asked for the event alone, of many clients with the same variables each.

Legend: G groups (clients), V rows of each, R = G V rows, N tokens of a row, D width, K sets of variables.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from apps.risk.models.transformer import Layer, RiskFormer, Rows, Tokens, among_neighbours


class EventNetwork(RiskFormer):
    """A RiskFormer, with the same weights, that takes groups of V neighbouring rows each.

    `RiskFormer.forward` compares each row of a batch with each other, whatever the groups; here a row meets those
    of its group only, so that a batch may be large.
    """

    def logits(self, rows: Rows, variables: int) -> Tensor:
        """Return the event's log-odds, (G,): those of `self(rows).event_G`. variables: V; group_B is not used."""
        return self._met(self._alone(rows), variables)

    def logits_without(self, rows: Rows, hidden_KV: Tensor) -> Tensor:
        """Return the log-odds where some variables are taken for unknown, (K, G): those of `logits` of `without`.

        hidden_KV: bool. Up to the first layer in which rows meet, what becomes of a row is the same whatever is
        hidden beside it: those layers look at each row twice, however large K is.
        """
        hidden_KV = hidden_KV.to(rows.past_BC.device)
        groups, variables = rows.past_BC.shape[0] // hidden_KV.shape[1], hidden_KV.shape[1]
        known, unknown = (
            self._alone(rows),
            self._alone(without(rows, torch.ones_like(rows.kind_B, dtype=torch.bool))),
        )
        logits = []
        for hidden_V in hidden_KV:
            hidden_R1 = hidden_V.repeat(groups)[:, None]
            some = known._replace(
                x_BND=torch.where(hidden_R1[..., None], unknown.x_BND, known.x_BND),
                seen_BN=torch.where(hidden_R1, unknown.seen_BN, known.seen_BN),
            )
            logits.append(self._met(some, variables))
        return torch.stack(logits)

    def _alone(self, rows: Rows) -> Tokens:
        """Return what comes out of the layers before the first one in which the rows of a group meet."""
        tokens = self.tokens(rows)
        x_RND = tokens.x_BND
        for layer in list(self.layers)[: self._meeting()]:
            x_RND = layer(x_RND, tokens.seen_BN, None, tokens.rotary_2Nd)
        return tokens._replace(x_BND=x_RND)

    def _met(self, tokens: Tokens, V: int) -> Tensor:
        """Return the log-odds of what `_alone` returned, (G,)."""
        x_RND, seen_RN = tokens.x_BND, tokens.seen_BN
        may_see = among_neighbours(seen_RN, V)
        for number in range(self._meeting(), len(self.layers)):
            layer = self.layers[number]
            assert isinstance(layer, Layer)
            if not layer.over_group:
                x_RND = layer(x_RND, seen_RN, None, tokens.rotary_2Nd)
            elif number < len(self.layers) - 1:
                x_RND = layer.among(x_RND, may_see, V)
            else:  # what counts in the end are the tokens of the rows themselves, which all see each other
                x_RND = layer.among(x_RND[:, :1], None, V)
        row_GVD = self.norm(x_RND[:, 0]).view(-1, V, x_RND.shape[-1])
        # in float64: the last bits of a group do not depend on how many others are asked about
        x_GD, head = row_GVD.mean(dim=1), self.event_head
        return F.linear(x_GD.double(), head.weight.double(), head.bias.double())[:, 0].to(x_GD.dtype)

    def _meeting(self) -> int:
        """Return the number of the first layer in which rows meet, or how many layers there are."""
        return min(self.size.group_every - 1, len(self.layers))


def without(rows: Rows, hidden_R: Tensor) -> Rows:
    """Return the rows with some of them, (R,) bool, as if nothing were known of them."""
    return rows._replace(
        known_BC=rows.known_BC & ~hidden_R[:, None],
        known_BH=rows.known_BH & ~hidden_R[:, None],
        level_B2=rows.level_B2.masked_fill(hidden_R[:, None], 0.0),
    )
