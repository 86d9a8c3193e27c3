"""Portfolios summed up over slices of a panel, so that no more than one slice of paths is held.

Legend: P portfolios, S paths, N entities of a slice, H steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from apps.risk.data.holdings import Holdings
from apps.risk.models.forecast import PathForecast
from apps.risk.reasons import DEFECTS

EQUAL = "equal_weights"  # name of the portfolio that there is by default


class PortfolioSum:
    """Adds up path by path what entities do: in one path all of them live in the same world.

    holdings: None means one portfolio of equal weights of all entities that have a forecast.
    """

    def __init__(self, holdings: Holdings | None, entities: Sequence[str]) -> None:
        self.holdings = holdings
        self.names = (EQUAL,) if holdings is None else holdings.portfolios
        self._refused_P = np.zeros(len(self.names), dtype=bool)
        if holdings is not None:
            self._refused_P = holdings.lacks(entities)
        self._total_SPH: np.ndarray | None = None
        self.least_P = np.full(len(self.names), np.iinfo(np.int64).max)  # observations of what is held
        self._count = 0

    def add(self, forecast: PathForecast, entities: Sequence[str], known_N: np.ndarray | None = None) -> None:
        """Add the paths of a slice. Raises InternalFault for another number of paths than in those before it.

        known_N: values that each forecast stands on; of a portfolio the least counts.
        """
        path_SNH = forecast.path_SNH
        refused_N = np.isnan(path_SNH[0, :, 0])
        if refused_N.any():
            path_SNH = np.where(refused_N[:, None], 0.0, path_SNH)
        if self.holdings is None:
            weight_PN = np.where(refused_N, 0.0, 1.0)[None]
            self._count += int((~refused_N).sum())
        else:
            weight_PN = self.holdings.weight_PN(entities)
            self._refused_P |= (weight_PN[:, refused_N] != 0.0).any(axis=1)
        if known_N is not None:
            held_PN = np.where(weight_PN != 0.0, known_N, np.iinfo(np.int64).max)
            self.least_P = np.minimum(self.least_P, held_PN.min(axis=1, initial=np.iinfo(np.int64).max))
        part_SPH = np.matmul(weight_PN.astype(path_SNH.dtype), path_SNH).astype(np.float64)
        if self._total_SPH is None:
            self._total_SPH = part_SPH
        elif self._total_SPH.shape != part_SPH.shape:
            raise DEFECTS("paths_differ")
        else:
            self._total_SPH += part_SPH

    def forecast(self) -> PathForecast | None:
        """Return the portfolios as entities of one forecast; None where no slice was added.

        Reason holds_refused, and no numbers: a portfolio holds something without a forecast, or that is not there.
        """
        if self._total_SPH is None:
            return None
        total_SPH = self._total_SPH.copy()
        refused_P = self._refused_P.copy()
        if self.holdings is None:
            refused_P |= self._count == 0
            total_SPH /= max(self._count, 1)
        total_SPH[:, refused_P] = np.nan
        return PathForecast(total_SPH, tuple("holds_refused" if refused else "" for refused in refused_P))
