"""riskformer as a model of targets: from a panel to joint futures, and a walk over days for backtests.

The tails, from 5 % down and from 95 % up, are filtered historical residuals (Barone-Adesi et al. 1999,
doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S): what came less the median, in units of the
distance that the network saw between its 10 % and 90 % quantiles, pooled over all series of the training, as the
outermost quantiles of a network are its least certain ones.
Legend: N entities, T past steps, C steps that the network sees, H steps ahead, Q quantile levels, D days of a walk,
K steps ahead that residuals were taken of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from apps.risk.data.history import history_NT
from apps.risk.data.panel import Panel
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast
from apps.risk.models.garch import Walk
from apps.risk.models.learning import target_rows
from apps.risk.models.paths import BLOCKS, QuantileStep, paths_from_quantiles
from apps.risk.models.quantile_curve import fit_shape
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.models.transformer import RiskFormer

RELATED = 64  # a panel of no more series is looked at as one group: each sees what happened to the others
SHORTEST = 8  # known values within the context from which a forecast is made
_ROWS = 512  # series or days that the network takes at once
_LEVELS = np.array(QUANTILE_LEVELS)
_TAIL = (_LEVELS <= 0.05) | (_LEVELS >= 0.95)
_MEDIAN, _LOW, _HIGH = (int(np.flatnonzero(level == _LEVELS)[0]) for level in (0.5, 0.1, 0.9))


@dataclass(frozen=True, eq=False)
class RiskformerTargets:
    """The network with what its folder says of it.

    residual_KQ: quantiles of filtered residuals, 1 … K steps ahead (later steps take the last row); None leaves the
    network's own tails. shapes: of the tails beyond the outermost quantiles (models/quantile_curve.py).
    """

    net: RiskFormer
    context: int = 256
    residual_KQ: np.ndarray | None = None
    shapes: tuple[float, float] = (0.2, 0.2)
    name: str = "riskformer"

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:  # noqa: ARG002
        """Return joint futures; nothing in them is drawn, so the seed changes nothing.

        Reasons of a refusal: all_missing, too_short. A series that never varied is forecast all the same: constant.
        """
        past_NT = history_NT(panel, label, max(self.context, BLOCKS + horizon))
        related = (panel.whole or len(panel.entities)) <= RELATED
        quantile_NHQ = self.quantiles(past_NT[:, None, -self.context :], horizon, related=related)[:, 0]
        known_N = np.isfinite(past_NT[:, -self.context :]).sum(axis=1)
        flat_N = np.nanmax(past_NT, axis=1, initial=-np.inf) == np.nanmin(past_NT, axis=1, initial=np.inf)
        reason_N = np.where(flat_N, "constant", "")
        reason_N = np.where(known_N < SHORTEST, "too_short", reason_N)
        reason_N = np.where(known_N == 0, "all_missing", reason_N)
        quantile_NHQ[known_N < SHORTEST] = np.nan
        return paths_from_quantiles(
            quantile_NHQ, np.array(self.net.levels), past_NT, paths, tuple(reason_N.tolist()), self.shapes
        )

    def walk(self, history_NT: np.ndarray, begin: int, level_L: np.ndarray = TAIL_LEVELS) -> Walk:
        """Forecast steps begin … T - 1 one step ahead, each from the steps before it alone; D = T - begin."""
        N, T = history_NT.shape
        padded_NT = np.concatenate([np.full((N, self.context), np.nan), history_NT], axis=1)
        window_NDC = np.lib.stride_tricks.sliding_window_view(padded_NT, self.context, axis=1)[:, begin:T]
        quantile_NDQ = self.quantiles(window_NDC, 1, related=N <= RELATED)[:, :, 0]
        known_ND = np.isfinite(window_NDC).sum(axis=2)
        quantile_NDQ[known_ND < SHORTEST] = np.nan
        step = QuantileStep(
            quantile_NDQ.reshape(-1, quantile_NDQ.shape[-1]), np.array(self.net.levels), self.shapes
        )
        shape = (N, T - begin, len(level_L))
        reason_ND = np.where(known_ND == 0, "all_missing", np.where(known_ND < SHORTEST, "too_short", ""))
        return Walk(
            step.quantile_NQ(level_L).reshape(shape),
            step.es_NL(level_L).reshape(shape),
            reason_ND.astype(object),
        )

    def quantiles(self, past_NDC: np.ndarray, horizon: int, *, related: bool) -> np.ndarray:
        """Return quantiles for N series at D dates, (N, D, H, Q) float64, rising along Q.

        related: whether series of one date see each other; then N is at most RELATED.
        """
        N, D, C = past_NDC.shape
        out_RHQ = np.empty((D * N, horizon, len(self.net.levels)))
        row_RC = past_NDC.transpose(1, 0, 2).reshape(D * N, C)  # date by date
        dates = max(_ROWS // N, 1) if related else 0
        rows = dates * N if related else _ROWS
        device = next(self.net.parameters()).device
        with torch.inference_mode():
            for first in range(0, D * N, rows):
                past = torch.from_numpy(row_RC[first : first + rows].astype(np.float32)).to(device)
                known = torch.isfinite(past)
                group = torch.arange(len(past), device=device) // N if related and N > 1 else None
                forecast = self.net(target_rows(past.nan_to_num(0.0), known, horizon, group))
                out_RHQ[first : first + len(past)] = forecast.quantile_BHQ().cpu().numpy()
        return self._with_tails(out_RHQ).reshape(D, N, horizon, -1).transpose(1, 0, 2, 3)

    def _with_tails(self, quantile_RHQ: np.ndarray) -> np.ndarray:
        if self.residual_KQ is None:
            return quantile_RHQ
        step_H = np.minimum(np.arange(quantile_RHQ.shape[1]), len(self.residual_KQ) - 1)
        median_RH1, width_RH1 = median_and_width(quantile_RHQ)
        out_RHQ = quantile_RHQ.copy()
        out_RHQ[:, :, _TAIL] = median_RH1 + width_RH1 * self.residual_KQ[step_H][:, _TAIL]
        half = _MEDIAN + 1
        lower_RHQ = np.minimum.accumulate(out_RHQ[:, :, half - 1 :: -1], axis=2)[:, :, ::-1]
        return np.concatenate(
            [lower_RHQ, np.maximum.accumulate(out_RHQ[:, :, half - 1 :], axis=2)[:, :, 1:]], axis=2
        )


def median_and_width(quantile_RHQ: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median, and the distance of the 10 % and the 90 % quantile, (R, H, 1) each."""
    width_RH = quantile_RHQ[:, :, _HIGH] - quantile_RHQ[:, :, _LOW]
    return quantile_RHQ[:, :, _MEDIAN, None], width_RH[:, :, None]


def fit_residuals(
    model: RiskformerTargets, value_NT: np.ndarray, horizon: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return quantiles of residuals after each step of a history but its first C, (H, Q), and the tails' shapes.

    value_NT: at most RELATED series on one calendar, more than C + H steps.
    """
    window_NDC = np.lib.stride_tricks.sliding_window_view(value_NT, model.context, axis=1)[:, :-horizon]
    N, D, _ = window_NDC.shape
    quantile_RHQ = replace(model, residual_KQ=None).quantiles(window_NDC, horizon, related=True)
    median_RH1, width_RH1 = median_and_width(quantile_RHQ.reshape(N * D, horizon, -1))
    came_NDH = np.lib.stride_tricks.sliding_window_view(value_NT[:, model.context :], horizon, axis=1)
    known_RH = np.isfinite(came_NDH) & (np.isfinite(window_NDC).sum(axis=2) >= SHORTEST)[:, :, None]
    known_RH = known_RH.reshape(N * D, horizon)
    residual_RH = (came_NDH.reshape(N * D, horizon) - median_RH1[:, :, 0]) / width_RH1[:, :, 0]
    residual_HQ = np.stack([np.quantile(residual_RH[known_RH[:, h], h], _LEVELS) for h in range(horizon)])
    first_R = residual_RH[known_RH[:, 0], 0]
    row_RQ = np.broadcast_to(residual_HQ[0], (len(first_R), len(_LEVELS)))
    lower, upper = fit_shape(row_RQ, _LEVELS, first_R), fit_shape(-row_RQ[:, ::-1], _LEVELS, -first_R)
    return residual_HQ, (lower, upper)
