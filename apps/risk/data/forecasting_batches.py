"""Windows in pytorch-forecasting's own batch format, so that its models train through this loader.

The format is that of `TimeSeriesDataSet._collate_fn` of pytorch-forecasting 1.8: a dictionary x and (y, weight).
Scaling is that of its `EncoderNormalizer` for the target (mean and standard deviation of each window's past) and of
scikit-learn's `StandardScaler` for all else. What it cannot take, this can: a missing covariate is its mean (0 when
scaled), a missing value of the past is the window's mean, and a missing answer has weight 0.
Differs on purpose: columns that are not known in advance are 0 ahead, where pytorch-forecasting hands the model the
future values and trusts it not to look.
Legend: B windows, C steps of the past, H steps ahead, V variables, as in apps.risk.data.windows beyond that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from apps.risk.data.panel import Panel
from apps.risk.data.windows import Batch

ForecastingBatch = tuple[dict[str, Tensor], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which variable stands where, and how covariates are scaled.

    target: index of the target among the labels. static_numbers, known, observed: names in order; of the labels
    all but the target count as observed. center_F, scale_F: of the features; center_M, scale_M: of the static
    numbers. step_R: position of each row in the calendar. end_N: where the rows of each entity end. context: C, by
    which relative time and length are scaled.
    """

    target: int
    static_numbers: tuple[str, ...]
    known: tuple[str, ...]
    observed: tuple[str, ...]
    center_F: Tensor
    scale_F: Tensor
    center_M: Tensor
    scale_M: Tensor
    step_R: Tensor
    end_N: Tensor
    context: int
    relative_time: bool = True
    length: bool = True

    @property
    def static_reals(self) -> list[str]:
        """Names of static real variables, in pytorch-forecasting's order."""
        return [*self.static_numbers, *(["encoder_length"] if self.length else [])]

    @property
    def known_reals(self) -> list[str]:
        """Names of real variables known in advance."""
        return [*self.known, *(["relative_time_idx"] if self.relative_time else [])]


def layout_of(
    panel: Panel, context: int, target: str | None = None, *, relative_time: bool = True, length: bool = True
) -> Layout:
    """Learn how covariates are scaled from a panel's past. target: by default the first label."""
    columns = panel.columns
    name = target or columns.labels[0]
    center_F, scale_F = _standard(panel.value_RF, panel.past_R)
    center_M, scale_M = _standard(panel.number_NM, panel.past_N)
    return Layout(
        target=columns.labels.index(name),
        static_numbers=columns.static_numbers,
        known=columns.known,
        observed=(*(label for label in columns.labels if label != name), *columns.observed),
        center_F=center_F,
        scale_F=scale_F,
        center_M=center_M,
        scale_M=scale_M,
        step_R=torch.from_numpy(panel.step_R),
        end_N=torch.from_numpy(panel.offset_N1[1:]),
        context=context,
        relative_time=relative_time,
        length=length,
    )


def forecasting_batch(batch: Batch, layout: Layout) -> ForecastingBatch:
    """Turn a batch of windows into pytorch-forecasting's x and (y, weight); weight is None where all is known."""
    return single(float64_batch(batch, layout))


def single(batch: ForecastingBatch) -> ForecastingBatch:
    """Return the batch with numbers in float32, as networks take them."""
    x, (y_BH, weight_BH) = batch
    narrow = {name: value.float() if value.is_floating_point() else value for name, value in x.items()}
    return narrow, (y_BH.float(), None if weight_BH is None else weight_BH.float())


def float64_batch(batch: Batch, layout: Layout) -> ForecastingBatch:
    """Return what `forecasting_batch` does in float64: targets in their own unit lose nothing, whatever their level."""
    target, H = layout.target, batch.label_BHT.shape[1]
    lengths_B = batch.length_B.clamp(
        min=1
    )  # its networks need one step; that of an empty past is all missing
    size = int(lengths_B.max())
    past_BCF, known_BCF = _to_the_left(batch, lengths_B, size)
    inside_BC = torch.arange(size) < lengths_B[:, None]
    center_B, scale_B = _window_scale(past_BCF[..., target], known_BCF[..., target])

    scaled_BCF = (past_BCF - layout.center_F) / layout.scale_F
    scaled_BCF[..., target] = (past_BCF[..., target] - center_B[:, None]) / scale_B[:, None]
    scaled_BCF = torch.where(known_BCF, scaled_BCF, 0.0)
    labels, features = batch.label_BHT.shape[2], past_BCF.shape[2]
    ahead = features - len(layout.known)
    ahead_BHK = (batch.ahead_BHK - layout.center_F[ahead:]) / layout.scale_F[ahead:]
    ahead_BHK = torch.where(batch.ahead_known_BHK, ahead_BHK, 0.0)
    number_BM = torch.nan_to_num((batch.number_BM - layout.center_M) / layout.scale_M, nan=0.0)
    order = [target, *(index for index in range(labels) if index != target), *range(labels, ahead)]

    static_BV = [number_BM]
    if layout.length:
        static_BV.append(((lengths_B - 0.5 * layout.context) / layout.context * 2.0)[:, None])
    static_B1V = torch.cat(static_BV, dim=1)[:, None]
    past = [static_B1V.expand(-1, size, -1), scaled_BCF[..., ahead:]]
    future = [static_B1V.expand(-1, H, -1), ahead_BHK]
    if layout.relative_time:
        past.append(((torch.arange(size) - lengths_B[:, None]) / layout.context)[..., None])
        future.append((torch.arange(H) / layout.context).expand(len(lengths_B), H)[..., None])
    past.append(scaled_BCF[..., order])
    future.append(past_BCF.new_zeros(len(lengths_B), H, len(order)))
    code_B1S = batch.code_BS[:, None]
    label_BH, label_known_BH = batch.label_BHT[..., target], batch.label_known_BHT[..., target]
    y_BH = torch.where(label_known_BH, label_BH, center_B[:, None])
    encoder_target_BC = torch.where(known_BCF[..., target], past_BCF[..., target], center_B[:, None])
    x = {
        "encoder_cat": code_B1S * inside_BC[..., None],
        "encoder_cont": torch.where(inside_BC[..., None], torch.cat(past, dim=-1), 0.0),
        "encoder_target": torch.where(inside_BC, encoder_target_BC, 0.0),
        "encoder_lengths": lengths_B,
        "decoder_cat": code_B1S.expand(-1, H, -1),
        "decoder_cont": torch.cat(future, dim=-1),
        "decoder_target": y_BH,
        "decoder_lengths": torch.full_like(lengths_B, H),
        "decoder_time_idx": _first_step(batch, layout)[:, None] + torch.arange(H),
        "groups": batch.entity_B[:, None],
        "target_scale": torch.stack([center_B, scale_B], dim=1),
    }
    return x, (y_BH, None if bool(label_known_BH.all()) else label_known_BH.to(y_BH.dtype))


def _standard(value_RV: np.ndarray, weight_R: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of what is known of each column; 0 and 1 where that is nothing or flat."""
    center_V, scale_V = np.zeros(value_RV.shape[1]), np.ones(value_RV.shape[1])
    for index in range(value_RV.shape[1]):
        known_R = ~np.isnan(value_RV[:, index])
        value_R = value_RV[known_R, index].astype(np.float64)
        weight_K = weight_R[known_R].astype(np.float64)
        if weight_K.any():
            center_V[index] = np.average(value_R, weights=weight_K)
            spread = np.sqrt(np.average((value_R - center_V[index]) ** 2, weights=weight_K))
            scale_V[index] = spread if spread > 0 else 1.0
    return torch.from_numpy(center_V), torch.from_numpy(scale_V)


def _to_the_left(batch: Batch, lengths_B: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Move each past to the left end, where pytorch-forecasting has it; what follows it is not known."""
    past_BCF, known_BCF = batch.past_BCF, batch.past_known_BCF
    C = past_BCF.shape[1]
    if bool((lengths_B == C).all()):
        return past_BCF, known_BCF
    step_BC = torch.arange(size) + (C - lengths_B)[:, None]
    inside_BC = step_BC < C
    index_BCF = step_BC.clamp(max=C - 1)[..., None].expand(-1, -1, past_BCF.shape[2])
    return past_BCF.gather(1, index_BCF), known_BCF.gather(1, index_BCF) & inside_BC[..., None]


def _window_scale(past_BC: Tensor, known_BC: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (n - 1) of each window's target; 1 where there is no spread."""
    count_B = known_BC.sum(dim=1)
    center_B = torch.where(known_BC, past_BC, 0.0).sum(dim=1) / count_B.clamp(min=1)
    spread_BC = torch.where(known_BC, past_BC - center_B[:, None], 0.0)
    scale_B = (spread_BC.square().sum(dim=1) / (count_B - 1).clamp(min=1)).sqrt()
    eps = torch.finfo(past_BC.dtype).eps
    flat_B = scale_B <= eps * center_B.abs()
    return center_B, torch.where(flat_B, 1.0, scale_B + eps)


def _first_step(batch: Batch, layout: Layout) -> Tensor:
    """Return the position in the calendar of the first step ahead; beyond a series' rows it follows the last one."""
    origin_B = batch.origin_B
    before_B = layout.step_R[(origin_B - 1).clamp(min=0)] + 1
    at_B = layout.step_R[origin_B.clamp(max=len(layout.step_R) - 1)]
    return torch.where(origin_B < layout.end_N[batch.entity_B], at_B, before_B).long()
