"""riskformer as a model of targets: from a panel to joint futures, and a walk over days for backtests.

Each series is forecast alone, unless the table names groups of related ones (data.group): those see each other. What
else is in the table, how much of it is scored at once and in what order changes no number of a series. The tails are
filtered residuals of the training and the series' own last values (models/residual_tails.py).
Legend: N entities, T past steps, C steps that the network sees, H steps ahead, Q quantile levels, D days of a walk,
K steps ahead that residuals were taken of, G groups of V entities each, R rows of the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch

from apps.risk.data.groups import together
from apps.risk.data.history import history_NT
from apps.risk.data.panel import Panel
from apps.risk.models.exported import WIDTH, Networks, padded, quantiles_of
from apps.risk.models.forecast import TAIL_LEVELS, PathForecast
from apps.risk.models.garch import LONGEST_FIT, REFIT, Walk
from apps.risk.models.paths import BLOCKS, PATHS, QuantileStep, paths_from_quantiles
from apps.risk.models.residual_tails import (
    LEVELS,
    RECENT,
    Tails,
    by_step,
    fit_tails,
    own_tails,
    residuals_of,
    walked,
    with_tails,
)
from apps.risk.models.soundness import implausible
from apps.risk.models.transformer import RiskFormer, target_rows
from core.compute.threads import spread

MOST_FITTED = 64  # series of a training that its tails are fitted on
SHORTEST = 8  # known values within the context from which a forecast is made
ROWS = 128  # rows that the network takes at once: what it makes of more exceeds a processor's cache
# Where a processor has AVX-512, PyTorch's products of other numbers of rows differ in their last bits by that number.
MULTIPLE = 8


@dataclass(frozen=True, eq=False)
class RiskformerTargets:
    """The network with what its folder says of it.

    residual_KQ: quantiles of filtered residuals, 1 … K steps ahead (later steps take the last row); None leaves the
    network's own tails. shapes: of the tails beyond the outermost quantiles (models/quantile_curve.py). networks:
    exported ones that run in PyTorch's place.
    """

    net: RiskFormer
    context: int = 256
    residual_KQ: np.ndarray | None = None
    shapes: tuple[float, float] = (0.2, 0.2)
    name: str = "riskformer"
    networks: Networks = field(default_factory=dict)
    usual_paths: ClassVar[int] = PATHS
    drawn: ClassVar[bool] = False

    def with_networks(self, networks: Networks) -> RiskformerTargets:
        """Return the model with exported networks ("forecast", "forecast_alone") in place of PyTorch's."""
        return replace(self, networks=networks)

    @property
    def looks_back(self) -> int:
        """What the network sees."""
        return self.context

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:  # noqa: ARG002
        """Return joint futures; nothing in them is drawn, so the seed changes nothing.

        Reasons of a refusal: all_missing, too_short, implausible. A series that never varied is forecast all the
        same: constant.
        Raises InputError, group_too_large.
        """
        past_NT = history_NT(panel, label, max(self.context, BLOCKS + horizon))
        quantile_NHQ = self.quantiles(past_NT[:, None, -self.context :], horizon, panel.group_N)[:, 0]
        if self.residual_KQ is not None:
            quantile_NHQ = with_tails(quantile_NHQ, own_tails(past_NT, self.residual_KQ))
        return joint(quantile_NHQ, past_NT, self.context, paths, self.shapes)

    def walk_panel(self, panel: Panel, label: str, days: int) -> Walk:
        """Forecast the last `days` known steps one step ahead, each from what came before it."""
        past_NT = history_NT(panel, label, days + LONGEST_FIT)
        return self.walk(past_NT, past_NT.shape[1] - days, group_N=panel.group_N)

    def walk(
        self,
        history_NT: np.ndarray,
        begin: int,
        level_L: np.ndarray = TAIL_LEVELS,
        every: int = REFIT,
        group_N: np.ndarray | None = None,
    ) -> Walk:
        """Forecast steps begin … T - 1 one step ahead, each from the steps before it alone; D = T - begin.

        every: steps for which a series' tails are kept, those of the RECENT steps before.
        """
        N, T = history_NT.shape
        padded_NT = np.concatenate([np.full((N, self.context), np.nan), history_NT], axis=1)
        window_NDC = np.lib.stride_tricks.sliding_window_view(padded_NT, self.context, axis=1)[:, :T]
        first = max(begin - RECENT - 1, 0)
        network_NDQ = np.full((N, T - first, len(self.net.levels)), np.nan)  # before begin none is asked for
        network_NDQ[:, begin - first :] = self.quantiles(window_NDC[:, begin:], 1, group_N)[:, :, 0]
        known_ND = np.isfinite(window_NDC[:, first:]).sum(axis=2)
        tails = Tails(self.residual_KQ, self.shapes)
        return walk_of(network_NDQ, history_NT[:, first:], known_ND, begin - first, level_L, every, tails)

    def quantiles(self, past_NDC: np.ndarray, horizon: int, group_N: np.ndarray | None = None) -> np.ndarray:
        """Return the network's quantiles for N series at D dates, (N, D, H, Q) float64, rising along Q.

        group_N: series of one number see each other at each date, as apps.risk.data.panel has it; None: none does.
        """
        N, D, C = past_NDC.shape
        out_NDHQ = np.empty((N, D, horizon, len(self.net.levels)))
        for member_GV in together(group_N, N):
            G, V = member_GV.shape
            row_RC = past_NDC[member_GV].transpose(2, 0, 1, 3).reshape(D * G * V, C)  # date by date
            quantile_RHQ = self._ask(row_RC, horizon, V)
            out_NDHQ[member_GV] = quantile_RHQ.reshape(D, G, V, horizon, -1).transpose(1, 2, 0, 3, 4)
        return out_NDHQ

    def _ask(self, row_RC: np.ndarray, horizon: int, V: int) -> np.ndarray:
        """Return quantiles (R, H, Q) of rows of which V neighbours at a time see each other."""
        device = next(self.net.parameters()).device
        out_RHQ = np.empty((len(row_RC), horizon, len(self.net.levels)))
        step = math.lcm(V, MULTIPLE)
        count = max(ROWS // step, 1) * step

        def ask(first: int) -> None:
            some_RC = row_RC[first : first + count]
            asked = len(some_RC)
            pad = ((0, -asked % step), (-row_RC.shape[1] % WIDTH, 0))
            some_RC = np.pad(some_RC, pad, constant_values=np.nan)
            past = torch.from_numpy(some_RC).to(device)
            known = torch.isfinite(past)
            rows = target_rows(past.nan_to_num(0.0), known, horizon, None)
            with torch.inference_mode():
                quantile_RHQ = quantiles_of(
                    self.net, self.networks, rows, V if V > 1 else None, padded(self.context)
                )
                out_RHQ[first : first + count] = quantile_RHQ.cpu().numpy()[:asked]

        spread(ask, range(0, len(row_RC), count))
        return out_RHQ


def joint(
    quantile_NHQ: np.ndarray, past_NT: np.ndarray, context: int, paths: int, shapes: tuple[float, float]
) -> PathForecast:
    """Return joint futures of these quantiles; constant is a remark.

    Refused: all_missing, too_short, and implausible (apps.risk.models.soundness).
    """
    known_N = np.isfinite(past_NT[:, -context:]).sum(axis=1)
    absurd_N = implausible(quantile_NHQ, past_NT)
    flat_N = np.nanmax(past_NT, axis=1, initial=-np.inf) == np.nanmin(past_NT, axis=1, initial=np.inf)
    reason_N = np.where(flat_N, "constant", "")
    reason_N = np.where(absurd_N, "implausible", reason_N)
    reason_N = np.where(known_N < SHORTEST, "too_short", reason_N)
    reason_N = np.where(known_N == 0, "all_missing", reason_N)
    quantile_NHQ = np.where((absurd_N | (known_N < SHORTEST))[:, None, None], np.nan, quantile_NHQ)
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
    quantile_NDQ = walked(network_NDQ, came_ND, begin, every, tails.residual_KQ)
    step = QuantileStep(quantile_NDQ.reshape(-1, len(LEVELS)), LEVELS, tails.shapes)
    known_ND = known_ND[:, begin:]
    shape = (*known_ND.shape, len(level_L))
    reason_ND = np.where(known_ND == 0, "all_missing", np.where(known_ND < SHORTEST, "too_short", ""))
    return Walk(
        step.quantile_NQ(level_L).reshape(shape),
        step.es_NL(level_L).reshape(shape),
        reason_ND.astype(object),
    )


def residuals(model: RiskformerTargets, value_NT: np.ndarray, horizon: int) -> list[np.ndarray]:
    """Return the known residuals 1 … H steps after all dates of a history but its first C steps.

    value_NT: series on one calendar, more than C + H steps.
    """
    window_NDC = np.lib.stride_tricks.sliding_window_view(value_NT, model.context, axis=1)[:, :-horizon]
    came_NDH = np.lib.stride_tricks.sliding_window_view(value_NT[:, model.context :], horizon, axis=1)
    network_NDHQ = model.quantiles(window_NDC, horizon)
    network_NDHQ[np.isfinite(window_NDC).sum(axis=2) < SHORTEST] = np.nan
    return by_step(residuals_of(network_NDHQ, came_NDH).reshape(-1, horizon))


def fit_residuals(
    model: RiskformerTargets, value_NT: np.ndarray, horizon: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return quantiles of the residuals of a history, (H, Q), and the shapes of the tails beyond (`residuals`)."""
    tails = fit_tails(residuals(model, value_NT, horizon))
    assert tails.residual_KQ is not None  # they were just fitted
    return tails.residual_KQ, tails.shapes
