"""riskformer as a model of targets: from a panel to joint futures, and a walk over days for backtests.

Legend: N entities, T past steps, C steps that the network sees, H steps ahead, Q quantile levels, D days of a walk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from apps.risk.data.history import history_NT
from apps.risk.data.panel import Panel
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast
from apps.risk.models.garch import Walk
from apps.risk.models.learning import target_rows
from apps.risk.models.paths import BLOCKS, QuantileStep, paths_from_quantiles
from apps.risk.models.transformer import RiskFormer

RELATED = 64  # a panel of no more series is looked at as one group: each sees what happened to the others
SHORTEST = 8  # known values within the context from which a forecast is made
_ROWS = 512  # series or days that the network takes at once


@dataclass(frozen=True, eq=False)
class RiskformerTargets:
    """The network with what its folder says of it. shapes: of the lower and upper tail (models/quantile_curve.py)."""

    net: RiskFormer
    context: int = 256
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
        """Return the network's quantiles for N series at D dates, (N, D, H, Q) float64.

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
        return out_RHQ.reshape(D, N, horizon, -1).transpose(1, 0, 2, 3)
