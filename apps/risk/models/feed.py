"""From windows of a panel to rows of riskformer: each column and each static number of a window is a row.

Rows of one window are one group, and see each other; windows of related series may be merged into one group.
Legend: B windows, V variables of a window (labels, observed, known, static numbers, in this order; then, if asked
for, the latest value of each label and observed column), R = B V rows, window by window, T labels, K knots.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from apps.risk.data.columns import Columns
from apps.risk.data.panel import Categories, Panel
from apps.risk.data.windows import Batch, Windows
from apps.risk.models.scaling import scale_of
from apps.risk.models.transformer import Kind, Rows

KNOTS = 65
MOST = 20_000  # windows that levels are learned from: quantiles of more add nothing


@dataclass(frozen=True, eq=False)
class Levels:
    """Where a size and a variability stand among those of the training: knots and their normal scores.

    knot_2VK: rising along K, of size (mean of what is known) and of variability (mean absolute deviation).
    score_2VK: values that are tied share the mean score, values beyond the knots have the outermost one. Both float64,
    or float32 in weights of before.
    """

    knot_2VK: Tensor
    score_2VK: Tensor

    def level_BV2(self, size_BV: Tensor, spread_BV: Tensor) -> Tensor:
        """Return normal scores, about -2.4 to 2.4, by linear interpolation."""
        both = [
            _between(value_BV.T.contiguous(), knot_VK.to(value_BV), score_VK.to(value_BV)).T
            for value_BV, knot_VK, score_VK in zip(
                (size_BV, spread_BV), self.knot_2VK, self.score_2VK, strict=True
            )
        ]
        return torch.stack(both, dim=-1)


def rows_of(
    batch: Batch,
    columns: Columns,
    related_B: Tensor | None = None,
    *,
    levels: Levels | None = None,
    latest: bool = False,
) -> tuple[Rows, Tensor]:
    """Return the rows of some windows, and the row of each label, (B, T) int64.

    related_B: int, windows of one number are one group; None: each window is its own, and of windows of one row
    alone there are no groups. levels: as learned in training; without them level_B2 is 0. latest: one more row for
    the last known value of each label and observed column. The last column of code_BS is the number of the
    variable, 1 … V, so that a network can tell them apart (`code_counts`).
    """
    B, C, _ = batch.past_BCF.shape
    ahead = len(columns.known)
    value_BVC, known_BVC = batch.past_BCF.transpose(1, 2), batch.past_known_BCF.transpose(1, 2)
    changing = len(columns.labels) + len(columns.observed)
    still_BM, stands_BM = batch.number_BM, ~torch.isnan(batch.number_BM)
    kinds = (
        [Kind.TARGET] * len(columns.labels) + [Kind.OBSERVED] * len(columns.observed) + [Kind.KNOWN] * ahead
    )
    if latest:
        last_BF, is_BF = latest_of(value_BVC[:, :changing], known_BVC[:, :changing])
        still_BM, stands_BM = torch.cat([still_BM, last_BF], dim=1), torch.cat([stands_BM, is_BF], dim=1)
    kinds += [Kind.STATIC] * still_BM.shape[1]
    value_BVC = torch.cat([value_BVC, _at_the_end(still_BM.masked_fill(~stands_BM, 0.0), C)], dim=1)
    known_BVC = torch.cat([known_BVC, _at_the_end(stands_BM, C)], dim=1)
    V, H = len(kinds), batch.ahead_BHK.shape[1]
    ahead_BVH = value_BVC.new_zeros(B, V, H)
    known_ahead_BVH = known_BVC.new_zeros(B, V, H)
    ahead_BVH[:, changing : changing + ahead] = batch.ahead_BHK.transpose(1, 2)
    known_ahead_BVH[:, changing : changing + ahead] = batch.ahead_known_BHK.transpose(1, 2)
    window_R = torch.arange(B).repeat_interleave(V)
    rows = Rows(
        past_BC=value_BVC.reshape(B * V, C),
        known_BC=known_BVC.reshape(B * V, C),
        ahead_BH=ahead_BVH.reshape(B * V, H),
        known_BH=known_ahead_BVH.reshape(B * V, H),
        kind_B=torch.tensor([int(kind) for kind in kinds]).repeat(B),
        group_B=_groups(window_R, related_B, alone=V == 1),
        code_BS=torch.cat([batch.code_BS[window_R], torch.arange(1, V + 1).repeat(B)[:, None]], dim=1),
        level_B2=value_BVC.new_zeros(B * V, 2),
    )
    if levels is not None:
        size_BV, spread_BV, any_BV = _sizes(value_BVC, known_BVC)
        level_BV2 = levels.level_BV2(size_BV, spread_BV).masked_fill(~any_BV[..., None], 0.0)
        rows = rows._replace(level_B2=level_BV2.reshape(B * V, 2))
    position_BT = V * torch.arange(B)[:, None] + torch.arange(len(columns.labels))
    return rows, position_BT


def code_counts(panel: Panel, *, latest: bool = False) -> tuple[int, ...]:
    """Return how many codes each column of code_BS has, unseen (0) included, as RiskFormer takes them."""
    return counts_of(panel.columns, panel.categories, latest=latest)


def counts_of(columns: Columns, categories: Categories, *, latest: bool = False) -> tuple[int, ...]:
    """Return the `code_counts` of a panel with these columns and categories."""
    variables = len(columns.features) + len(columns.static_numbers)
    if latest:
        variables += len(columns.labels) + len(columns.observed)
    return (*(len(categories[name]) + 1 for name in columns.statics), variables + 1)


def learn_levels(windows: Windows, *, latest: bool = False, most: int = MOST) -> Levels:
    """Learn levels from windows evenly spread over all there are, `most` at most; nothing is drawn."""
    number_B = np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).astype(np.int64))
    return levels_of(windows.gather(windows.origins(number_B)), windows.panel.columns, latest=latest)


def levels_of(batch: Batch, columns: Columns, *, latest: bool = False) -> Levels:
    """Learn levels from some windows, one or more."""
    rows, _ = rows_of(batch, columns, latest=latest)
    shape = (len(batch.origin_B), -1, rows.past_BC.shape[1])
    size_BV, spread_BV, any_BV = _sizes(rows.past_BC.view(shape), rows.known_BC.view(shape))
    knots = [_knots(value_BV, any_BV) for value_BV in (size_BV, spread_BV)]
    knot_2VK, score_2VK = (torch.stack(part) for part in zip(*knots, strict=True))
    return Levels(knot_2VK, score_2VK)


def latest_of(value_BVC: Tensor, known_BVC: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last known value of each variable, (B, V), 0 where there is none, and whether there is one."""
    C = value_BVC.shape[-1]
    step_C = torch.arange(1, C + 1)
    last_BV = (known_BVC * step_C).amax(dim=-1)
    value_BV = value_BVC.gather(-1, (last_BV - 1).clamp(min=0)[..., None])[..., 0]
    is_BV = last_BV > 0
    return value_BV.masked_fill(~is_BV, 0.0), is_BV


def _at_the_end(value_BM: Tensor, length: int) -> Tensor:
    """Return (B, M, C) whose last step is the value, and the rest nothing."""
    out = value_BM.new_zeros(*value_BM.shape, length)
    out[..., -1] = value_BM
    return out


def _groups(window_R: Tensor, related_B: Tensor | None, *, alone: bool) -> Tensor | None:
    if related_B is not None:
        number_B = torch.unique(related_B, return_inverse=True)[1]
        return number_B[window_R]
    return None if alone else window_R


def _sizes(value_BVC: Tensor, known_BVC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and mean absolute deviation of what is known, and whether anything is, (B, V) each."""
    scale = scale_of(value_BVC, known_BVC)
    middle_BV = scale.middle_B
    varies_BV = (((value_BVC - middle_BV[..., None]).abs() > 0) & known_BVC).any(dim=-1)
    return middle_BV, torch.where(varies_BV, scale.spread_B, 0.0), known_BVC.any(dim=-1)


def _knots(value_BV: Tensor, any_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Return quantiles of what is known of each variable and their normal scores, (V, K) each; 0 where nothing is."""
    share_K = (torch.arange(KNOTS, dtype=torch.float64) + 0.5) / KNOTS
    knot_VK = torch.zeros(value_BV.shape[1], KNOTS, dtype=torch.float64)
    score_VK = torch.zeros_like(knot_VK)
    for v in range(value_BV.shape[1]):
        known = value_BV[any_BV[:, v], v].numpy()
        if not len(known):
            continue
        knot_K = np.quantile(known, share_K.numpy(), method="inverted_cdf")
        knot, first, count = np.unique(knot_K, return_index=True, return_counts=True)
        middle = torch.from_numpy(share_K.numpy()[first] + (count - 1) / (2 * KNOTS))
        room = KNOTS - len(knot)
        knot_VK[v] = torch.from_numpy(np.append(knot, np.full(room, knot[-1])))
        score = torch.special.ndtri(middle)
        score_VK[v] = torch.cat([score, score[-1:].repeat(room)])
    return knot_VK, score_VK


def _between(value_VB: Tensor, knot_VK: Tensor, score_VK: Tensor) -> Tensor:
    """Return scores of values, linear between two knots, (V, B)."""
    right_VB = torch.searchsorted(knot_VK, value_VB).clamp(1, knot_VK.shape[1] - 1)
    low, high = knot_VK.gather(1, right_VB - 1), knot_VK.gather(1, right_VB)
    below, above = score_VK.gather(1, right_VB - 1), score_VK.gather(1, right_VB)
    part = ((value_VB - low) / torch.where(high > low, high - low, 1.0)).clamp(0.0, 1.0)
    return torch.where(high > low, below + part * (above - below), below)
