"""riskformer as a model of targets: from a panel to joint futures, and a walk over days for backtests.

The tails, from 5 % down and from 95 % up, are filtered historical residuals (Barone-Adesi et al. 1999,
doi:10.1002/(SICI)1096-9934(199908)19:5<583::AID-FUT5>3.0.CO;2-S): what came less the median, in units of the
distance that the network saw between its 10 % and 90 % quantiles, pooled over series, as the outermost quantiles of a
network are its least certain ones. They are those of the panel's own last steps where it has enough, else those of the
training.
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
from apps.risk.models.garch import REFIT, Walk
from apps.risk.models.paths import BLOCKS, QuantileStep, paths_from_quantiles
from apps.risk.models.quantile_curve import fit_shape
from apps.risk.models.sizes import QUANTILE_LEVELS
from apps.risk.models.transformer import RiskFormer, target_rows

RELATED = 64  # a panel of no more series is looked at as one group: each sees what happened to the others
RECENT = 500  # last steps of a panel whose residuals are looked at
LEAST = 400  # residuals from which a panel's own are taken
SHORTEST = 8  # known values within the context from which a forecast is made
_ROWS = 512  # series or days that the network takes at once
_LOOKED_AT = (
    8192  # series times days from which residuals are taken: more would cost more than scoring itself
)
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

    def fitted(self, panel: Panel, label: str) -> RiskformerTargets:
        """Return the model with residuals of the panel's last RECENT steps, or itself where they are too few.

        Of more than RELATED series some, and of many dates some, that lie evenly.
        """
        past_NT = history_NT(panel, label, self.context + RECENT + self._ahead - 1)
        if past_NT.shape[1] < self.context + self._ahead:
            return self
        N = len(past_NT)
        some_N = np.unique(np.linspace(0, N - 1, min(N, RELATED)).round().astype(np.int64))
        every = -(-len(some_N) * RECENT // _LOOKED_AT)
        residual_HR = residuals(self, past_NT[some_N], self._ahead, every, related=N <= RELATED)
        if min(len(residual_R) for residual_R in residual_HR) < LEAST:
            return self
        return replace(self, residual_KQ=np.stack([np.quantile(one_R, _LEVELS) for one_R in residual_HR]))

    @property
    def _ahead(self) -> int:
        return 1 if self.residual_KQ is None else len(self.residual_KQ)

    def walk(
        self, history_NT: np.ndarray, begin: int, level_L: np.ndarray = TAIL_LEVELS, every: int = REFIT
    ) -> Walk:
        """Forecast steps begin … T - 1 one step ahead, each from the steps before it alone; D = T - begin.

        every: steps for which residuals are kept, those of the RECENT steps before.
        """
        N, T = history_NT.shape
        padded_NT = np.concatenate([np.full((N, self.context), np.nan), history_NT], axis=1)
        first = max(begin - RECENT, 0)
        window_NDC = np.lib.stride_tricks.sliding_window_view(padded_NT, self.context, axis=1)[:, first:T]
        network_NDQ = replace(self, residual_KQ=None).quantiles(window_NDC, 1, related=N <= RELATED)[:, :, 0]
        known_ND = np.isfinite(window_NDC).sum(axis=2)
        network_NDQ[known_ND < SHORTEST] = np.nan
        residual_ND = _residuals(network_NDQ, history_NT[:, first:])
        parts = []
        for day in range(begin - first, T - first, every):
            seen_R = residual_ND[:, max(day - RECENT, 0) : day].ravel()
            seen_R = seen_R[np.isfinite(seen_R)]
            row_KQ = np.quantile(seen_R, _LEVELS)[None] if len(seen_R) >= LEAST else self.residual_KQ
            parts.append(with_tails(network_NDQ[:, day : day + every, None], row_KQ)[:, :, 0])
        quantile_NDQ = np.concatenate(parts, axis=1)
        step = QuantileStep(quantile_NDQ.reshape(-1, len(_LEVELS)), _LEVELS, self.shapes)
        shape = (N, T - begin, len(level_L))
        known_ND = known_ND[:, begin - first :]
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
        found_NDHQ = out_RHQ.reshape(D, N, horizon, -1).transpose(1, 0, 2, 3)
        return with_tails(found_NDHQ, self.residual_KQ)


def with_tails(quantile_NDHQ: np.ndarray, residual_KQ: np.ndarray | None) -> np.ndarray:
    """Return quantiles whose tails are residuals in the network's units; None leaves them. Rising along Q."""
    if residual_KQ is None:
        return quantile_NDHQ
    step_H = np.minimum(np.arange(quantile_NDHQ.shape[2]), len(residual_KQ) - 1)
    median, width = _median_and_width(quantile_NDHQ)
    out_NDHQ = quantile_NDHQ.copy()
    out_NDHQ[..., _TAIL] = median[..., None] + width[..., None] * residual_KQ[step_H][:, _TAIL]
    lower = np.minimum.accumulate(out_NDHQ[..., _MEDIAN::-1], axis=-1)[..., ::-1]
    upper = np.maximum.accumulate(out_NDHQ[..., _MEDIAN:], axis=-1)
    return np.concatenate([lower, upper[..., 1:]], axis=-1)


def residuals(
    model: RiskformerTargets, value_NT: np.ndarray, horizon: int, every: int = 1, *, related: bool
) -> list[np.ndarray]:
    """Return the known residuals 1 … H steps after dates of a history but its first C steps.

    value_NT: series on one calendar, more than C + H steps; at most RELATED of them where they are related. every:
    each so-manieth date, counted from the last one.
    """
    first = (value_NT.shape[1] - model.context - horizon) % every
    window_NDC = np.lib.stride_tricks.sliding_window_view(value_NT, model.context, axis=1)[:, :-horizon]
    came_NDH = np.lib.stride_tricks.sliding_window_view(value_NT[:, model.context :], horizon, axis=1)
    window_NDC, came_NDH = window_NDC[:, first::every], came_NDH[:, first::every]
    network_NDHQ = replace(model, residual_KQ=None).quantiles(window_NDC, horizon, related=related)
    network_NDHQ[np.isfinite(window_NDC).sum(axis=2) < SHORTEST] = np.nan
    residual_NDH = _residuals(network_NDHQ, came_NDH)
    steps = residual_NDH.reshape(-1, horizon).T
    return [residual_R[np.isfinite(residual_R)] for residual_R in steps]


def fit_residuals(
    model: RiskformerTargets, value_NT: np.ndarray, horizon: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return quantiles of the residuals of a history, (H, Q), and the shapes of the tails beyond (`residuals`)."""
    residual_HR = residuals(model, value_NT, horizon, related=True)
    residual_HQ = np.stack([np.quantile(residual_R, _LEVELS) for residual_R in residual_HR])
    first_R = residual_HR[0]
    row_RQ = np.broadcast_to(residual_HQ[0], (len(first_R), len(_LEVELS)))
    lower, upper = fit_shape(row_RQ, _LEVELS, first_R), fit_shape(-row_RQ[:, ::-1], _LEVELS, -first_R)
    return residual_HQ, (lower, upper)


def _residuals(quantile: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Return what came less the median, in units of the inner 80 %, of any shape; NaN or infinite where not known."""
    median, width = _median_and_width(quantile)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (came - median) / width


def _median_and_width(quantile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return quantile[..., _MEDIAN], quantile[..., _HIGH] - quantile[..., _LOW]
