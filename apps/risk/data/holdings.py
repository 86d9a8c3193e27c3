"""What portfolios hold: a CSV of portfolio, entity and weight.

Legend: P portfolios, E entities that any of them holds, N entities asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from apps.risk.reasons import INPUTS

COLUMNS = ("portfolio", "entity", "weight")


@dataclass(frozen=True, eq=False)
class Holdings:
    """portfolios: names, sorted. portfolio_H, entity_H, weight_H: of each holding its portfolio, entity and weight."""

    portfolios: tuple[str, ...]
    portfolio_H: np.ndarray
    entity_H: tuple[str, ...]
    weight_H: np.ndarray

    def weight_PN(self, entities: Sequence[str]) -> np.ndarray:
        """Return weights, (P, N) float64, 0 where nothing is held."""
        column_H = pd.Index(entities).get_indexer(pd.Index(self.entity_H))
        weight_PN = np.zeros((len(self.portfolios), len(entities)))
        held_H = column_H >= 0
        weight_PN[self.portfolio_H[held_H], column_H[held_H]] = self.weight_H[held_H]
        return weight_PN

    def lacks(self, entities: Sequence[str]) -> np.ndarray:
        """Return which portfolios hold, with a weight other than 0, something not among the entities, (P,) bool."""
        gone_H = (pd.Index(entities).get_indexer(pd.Index(self.entity_H)) < 0) & (self.weight_H != 0.0)
        return np.bincount(self.portfolio_H[gone_H], minlength=len(self.portfolios)) > 0

    def some(self, keep_P: np.ndarray) -> Holdings:
        """Return some of the portfolios, (P,) bool."""
        keep_H = keep_P[self.portfolio_H]
        number_P = np.cumsum(keep_P) - 1
        return Holdings(
            tuple(name for name, keep in zip(self.portfolios, keep_P, strict=True) if keep),
            number_P[self.portfolio_H[keep_H]],
            tuple(name for name, keep in zip(self.entity_H, keep_H, strict=True) if keep),
            self.weight_H[keep_H],
        )


def read_holdings(path: Path) -> Holdings:
    """Read a CSV with the columns portfolio, entity, weight (a share, any sign and sum).

    Raises InputError, in one line, where it cannot be read, a cell is empty or no number, or a holding is doubled.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise INPUTS("portfolios_missing", path=path, cause=error.strerror) from error
    except (ValueError, pd.errors.ParserError) as error:
        raise INPUTS("portfolios_unreadable", path=path) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise INPUTS("portfolios_schema", path=path, column=missing[0], columns=", ".join(COLUMNS))
    if not len(table):
        raise INPUTS("portfolios_empty", path=path, columns=", ".join(COLUMNS))
    text = {name: table[name].str.strip() for name in COLUMNS}
    weight_H = pd.to_numeric(text["weight"], errors="coerce").to_numpy(dtype=np.float64)
    bad_H = (text["portfolio"] == "") | (text["entity"] == "") | ~np.isfinite(weight_H)
    if bad_H.any():
        line = int(np.flatnonzero(bad_H)[0]) + 2
        raise INPUTS("portfolios_value", path=path, line=line)
    doubled_H = pd.DataFrame(text).duplicated(["portfolio", "entity"]).to_numpy()
    if doubled_H.any():
        line = int(np.flatnonzero(doubled_H)[0]) + 2
        raise INPUTS("portfolios_doubled", path=path, line=line)
    portfolio_H, names = pd.factorize(text["portfolio"], sort=True)
    return Holdings(tuple(names), portfolio_H, tuple(text["entity"]), weight_H)


def holdings_of(portfolios: Mapping[str, Mapping[str, float]]) -> Holdings:
    """Return holdings from portfolio → entity → weight (a share, any sign and sum).

    Raises InputError, portfolio_weight, for a weight that is not a finite number.
    """
    names = tuple(sorted(portfolios))
    held = [
        (number, entity, float(weight))
        for number, name in enumerate(names)
        for entity, weight in portfolios[name].items()
    ]
    weight_H = np.array([weight for _, _, weight in held], dtype=np.float64)
    bad_H = np.flatnonzero(~np.isfinite(weight_H))
    if len(bad_H):
        number, entity, weight = held[bad_H[0]]
        raise INPUTS("portfolio_weight", entity=entity, portfolio=names[number], weight=weight)
    portfolio_H = np.array([number for number, _, _ in held], dtype=np.int64)
    return Holdings(names, portfolio_H, tuple(entity for _, entity, _ in held), weight_H)
