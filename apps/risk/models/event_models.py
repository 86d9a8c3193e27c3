"""Probability of the event from a panel: a scorecard, boosted trees or riskformer, asked and kept in one way.

What each learned is numbers in files, with a description in plain words beside; reading one runs no code of it.
Legend: N entities, F features.
"""

from __future__ import annotations

import copy
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import skops.io
import torch
from scipy.special import logit

from apps.risk.data.columns import Columns
from apps.risk.data.features import column_of, features_of, pick
from apps.risk.data.panel import Panel
from apps.risk.data.windows import Batch
from apps.risk.models.boosting import FOLDS, Boosting
from apps.risk.models.event_parts import (
    Drivers,
    OfLatest,
    largest,
    past_of,
    read_tensors,
    unreadable,
    write_tensors,
)
from apps.risk.models.riskformer_event import RiskformerEvent
from apps.risk.models.scorecard import Scorecard
from core.runs.files import write_bytes

# types of scikit-learn beyond those that skops trusts by itself: plain numbers, no code
TRUSTED = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


@dataclass(frozen=True, eq=False)
class ScorecardEvent(OfLatest):
    """A scorecard on wide features; drivers: what the bins of a column's features add above the average client."""

    card: Scorecard

    name: ClassVar[str] = "scorecard"

    def probability(self, batch: Batch, columns: Columns) -> np.ndarray:
        """Return the probability of each window, (N,)."""
        return self.card.forecast(pick(features_of(batch, columns), self.card.names)).pd_N

    def drivers(self, panel: Panel) -> Drivers:
        """Return of each entity the columns that raise its log-odds, largest first."""
        x_NF = pick(features_of(self.past.latest(panel), panel.columns), self.card.names)
        above_NF = self.card.points_NF(x_NF) - self.card.reference_F
        columns = [column_of(name, panel.columns) for name in self.card.names]
        names = tuple(dict.fromkeys(columns))
        above = [above_NF[:, [column == name for column in columns]].sum(axis=1) for name in names]
        return largest(names, np.stack(above, axis=1))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the card; return its description."""
        card = self.card
        tensors = {
            "edges": np.concatenate([np.zeros(0), *card.edges]),
            "points": np.concatenate(card.points),
            "reference": card.reference_F,
            "intercept": np.array([card.intercept]),
        }
        write_tensors(folder / "scorecard.safetensors", {k: torch.from_numpy(v) for k, v in tensors.items()})
        bins = [len(edge_K) for edge_K in card.edges]
        return {**asdict(self.past), "features": list(card.names), "bounds": bins}

    @classmethod
    def load(cls, folder: Path, described: Mapping[str, Any]) -> ScorecardEvent:
        """Read what `save` wrote; raises InputError weights_unreadable."""
        tensors = read_tensors(folder / "scorecard.safetensors")
        bins = np.array(described["bounds"])
        card = Scorecard(
            names=tuple(described["features"]),
            edges=tuple(np.split(tensors["edges"].numpy(), np.cumsum(bins)[:-1])),
            points=tuple(np.split(tensors["points"].numpy(), np.cumsum(bins + 2)[:-1])),
            reference_F=tensors["reference"].numpy(),
            intercept=float(tensors["intercept"][0]),
        )
        return cls(past_of(described), card)


@dataclass(frozen=True, eq=False)
class BoostingEvent(OfLatest):
    """Boosted trees on wide features; drivers: the log-odds less those with a column's features at their reference.

    names: F. reference_F: medians of the clients learned from.
    """

    names: tuple[str, ...]
    trees: Boosting
    reference_F: np.ndarray

    name: ClassVar[str] = "boosting"

    def probability(self, batch: Batch, columns: Columns) -> np.ndarray:
        """Return the probability of each window, (N,)."""
        return self.trees.forecast(pick(features_of(batch, columns), self.names)).pd_N

    def drivers(self, panel: Panel) -> Drivers:
        """Return of each entity the columns that raise its log-odds, largest first."""
        x_NF = pick(features_of(self.past.latest(panel), panel.columns), self.names)
        whole_N = logit(self.trees.forecast(x_NF).pd_N)
        columns = [column_of(name, panel.columns) for name in self.names]
        names = tuple(dict.fromkeys(columns))
        above = []
        for name in names:
            other_F = np.array([column == name for column in columns])
            above.append(whole_N - logit(self.trees.forecast(np.where(other_F, self.reference_F, x_NF)).pd_N))
        return largest(names, np.stack(above, axis=1))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the trees; return their description."""
        model = copy.copy(self.trees.model)
        model.cv = FOLDS  # which clients were in which fold is nobody's business, and most of the bytes
        write_bytes(folder / "boosting.skops", skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED))
        reference = [None if np.isnan(value) else float(value) for value in self.reference_F]
        return {**asdict(self.past), "features": list(self.names), "reference": reference}

    @classmethod
    def load(cls, folder: Path, described: Mapping[str, Any]) -> BoostingEvent:
        """Read what `save` wrote, of types known to be harmless alone; raises InputError weights_unreadable."""
        path = folder / "boosting.skops"
        try:
            model = skops.io.loads(path.read_bytes(), trusted=list(TRUSTED))
        except Exception as error:  # a damaged file may fail in any way
            raise unreadable(path) from error
        reference = [np.nan if value is None else value for value in described["reference"]]
        names = tuple(described["features"])
        return cls(past_of(described), names, Boosting(model, len(names)), np.array(reference))


EventKind = RiskformerEvent | ScorecardEvent | BoostingEvent
KINDS: dict[str, type[RiskformerEvent] | type[ScorecardEvent] | type[BoostingEvent]] = {
    "riskformer": RiskformerEvent,
    "scorecard": ScorecardEvent,
    "boosting": BoostingEvent,
}


def load_event_model(name: str, folder: Path, described: Mapping[str, Any]) -> EventKind:
    """Read a model of KINDS by name. Raises InputError weights_unreadable."""
    try:
        return KINDS[name].load(folder, described)
    except (KeyError, TypeError) as error:
        raise unreadable(folder / "model.json") from error
