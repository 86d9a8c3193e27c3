"""riskformer as a model of targets: from a panel to joint futures, and a walk over days for backtests.

The tails are filtered historical residuals, pooled over series (models/residual_tails.py): those of the panel's own
last steps where it has enough, else those of the training.
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
from apps.risk.models.residual_tails import (
    LEVELS,
    Tails,
    by_step,
    fit_tails,
    quantiles_of,
    residuals_of,
    walked,
    with_tails,
)
from apps.risk.models.transformer import RiskFormer, target_rows

RELATED = 64  # a panel of no more series is looked at as one group: each sees what happened to the others
RECENT = 500  # last steps of a panel whose residuals are looked at
LEAST = 400  # residuals from which a panel's own are taken
SHORTEST = 8  # known values within the context from which a forecast is made
ROWS = 512  # rows that the network takes at once
LOOKED_AT = 8192  # series times days from which residuals are taken: more would cost more than scoring itself


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
        return joint(quantile_NHQ, past_NT, self.context, paths, self.shapes)

    def fitted(self, panel: Panel, label: str) -> RiskformerTargets:
        """Return the model with residuals of the panel's last RECENT steps, or itself where they are too few.

        Of more than RELATED series some, and of many dates some, that lie evenly.
        """
        past_NT = history_NT(panel, label, self.context + RECENT + self._ahead - 1)
        if past_NT.shape[1] < self.context + self._ahead:
            return self
        N = len(past_NT)
        some_N, every = looked_at(N, RECENT)
        residual_HR = residuals(self, past_NT[some_N], self._ahead, every, related=N <= RELATED)
        if min(len(residual_R) for residual_R in residual_HR) < LEAST:
            return self
        return replace(self, residual_KQ=quantiles_of(residual_HR))

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
        return walk_of(
            network_NDQ,
            history_NT[:, first:],
            known_ND,
            begin - first,
            level_L,
            every,
            Tails(self.residual_KQ, self.shapes),
        )

    def quantiles(self, past_NDC: np.ndarray, horizon: int, *, related: bool) -> np.ndarray:
        """Return quantiles for N series at D dates, (N, D, H, Q) float64, rising along Q.

        related: whether series of one date see each other; then N is at most RELATED.
        """
        N, D, C = past_NDC.shape
        out_RHQ = np.empty((D * N, horizon, len(self.net.levels)))
        row_RC = past_NDC.transpose(1, 0, 2).reshape(D * N, C)  # date by date
        dates = max(ROWS // N, 1) if related else 0
        rows = dates * N if related else ROWS
        device = next(self.net.parameters()).device
        with torch.inference_mode():
            for first in range(0, D * N, rows):
                past = torch.tensor(row_RC[first : first + rows], device=device)
                known = torch.isfinite(past)
                group = torch.arange(len(past), device=device) // N if related and N > 1 else None
                forecast = self.net(target_rows(past.nan_to_num(0.0), known, horizon, group))
                out_RHQ[first : first + len(past)] = forecast.quantile_BHQ().cpu().numpy()
        found_NDHQ = out_RHQ.reshape(D, N, horizon, -1).transpose(1, 0, 2, 3)
        return with_tails(found_NDHQ, self.residual_KQ)


def joint(
    quantile_NHQ: np.ndarray, past_NT: np.ndarray, context: int, paths: int, shapes: tuple[float, float]
) -> PathForecast:
    """Return joint futures of these quantiles; all_missing and too_short are refused, constant is a remark."""
    known_N = np.isfinite(past_NT[:, -context:]).sum(axis=1)
    flat_N = np.nanmax(past_NT, axis=1, initial=-np.inf) == np.nanmin(past_NT, axis=1, initial=np.inf)
    reason_N = np.where(flat_N, "constant", "")
    reason_N = np.where(known_N < SHORTEST, "too_short", reason_N)
    reason_N = np.where(known_N == 0, "all_missing", reason_N)
    quantile_NHQ = np.where((known_N < SHORTEST)[:, None, None], np.nan, quantile_NHQ)
    return paths_from_quantiles(quantile_NHQ, LEVELS, past_NT, paths, tuple(reason_N.tolist()), shapes)


def walk_of(
    network_NDQ: np.ndarray,
    came_ND: np.ndarray,
    known_ND: np.ndarray,
    begin: int,
    level_L: np.ndarray,
    every: int,
    tails: Tails,
) -> Walk:
    """Return VaR and ES of dates begin … D - 1 from a network's quantiles one step ahead (`residual_tails.walked`).

    known_ND: values that the network saw, fewer than SHORTEST are refused.
    """
    network_NDQ = np.where((known_ND < SHORTEST)[..., None], np.nan, network_NDQ)
    quantile_NDQ = walked(network_NDQ, came_ND, begin, every, RECENT, LEAST, tails.residual_KQ)
    step = QuantileStep(quantile_NDQ.reshape(-1, len(LEVELS)), LEVELS, tails.shapes)
    known_ND = known_ND[:, begin:]
    shape = (*known_ND.shape, len(level_L))
    reason_ND = np.where(known_ND == 0, "all_missing", np.where(known_ND < SHORTEST, "too_short", ""))
    return Walk(
        step.quantile_NQ(level_L).reshape(shape),
        step.es_NL(level_L).reshape(shape),
        reason_ND.astype(object),
    )


def looked_at(entities: int, dates: int, most: int | None = None) -> tuple[np.ndarray, int]:
    """Return the numbers of the entities whose residuals are taken, evenly spread, and each how-manieth date.

    most: of all together; None takes LOOKED_AT.
    """
    some_N = np.unique(np.linspace(0, entities - 1, min(entities, RELATED)).round().astype(np.int64))
    return some_N, max(-(-len(some_N) * dates // (most or LOOKED_AT)), 1)


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
    return by_step(residuals_of(network_NDHQ, came_NDH).reshape(-1, horizon))


def fit_residuals(
    model: RiskformerTargets, value_NT: np.ndarray, horizon: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return quantiles of the residuals of a history, (H, Q), and the shapes of the tails beyond (`residuals`)."""
    tails = fit_tails(residuals(model, value_NT, horizon, related=True))
    assert tails.residual_KQ is not None  # they were just fitted
    return tails.residual_KQ, tails.shapes
