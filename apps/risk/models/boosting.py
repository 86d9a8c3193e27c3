"""Gradient boosting of trees for the event's probability, calibrated out of fold.

Source: Friedman 2001, doi:10.1214/aos/1013203451, on histograms (Ke et al. 2017, LightGBM), by scikit-learn.
No reason codes: points of a tree ensemble would need an attribution of their own; the scorecard beside it has them.
Legend: N clients, F features. Missing features go to a branch of their own in each split; none is filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from apps.risk.models.forecast import EventForecast
from apps.risk.models.scorecard import blank_reasons, known_events
from apps.risk.reasons import INPUTS

FOLDS = 5
# few leaves and a slow rate: clients are tens of thousands, and most of them look alike
LEAVES, RATE, TREES, LEAST = 15, 0.05, 150, 40


@dataclass(frozen=True, eq=False)
class Boosting:
    """The fitted trees with their calibration; features: F."""

    model: CalibratedClassifierCV
    features: int

    def forecast(self, x_NF: np.ndarray) -> EventForecast:
        """Return the event's probability of N clients; reason all_missing where a client has no value at all.

        Raises ValueError for another number of features, and infinities.
        """
        if x_NF.ndim != 2 or x_NF.shape[1] != self.features:
            raise ValueError(f"features have shape {x_NF.shape}, wanted (clients, {self.features})")
        _check_finite(x_NF)
        pd_N = self.model.predict_proba(x_NF)[:, 1] if len(x_NF) else np.zeros(0)
        return EventForecast(np.asarray(pd_N, dtype=np.float64), blank_reasons(x_NF))


def fit_boosting(
    x_NF: np.ndarray,
    event_N: np.ndarray,
    owner_N: np.ndarray | None = None,
    calibration: Literal["sigmoid", "isotonic"] = "sigmoid",
    folds: int = FOLDS,
    seed: int = 0,
) -> Boosting:
    """Fit trees to all clients, and the calibration to what trees say of clients that they did not see.

    event_N: 1 happened, 0 did not, NaN not known yet and left out. owner_N: rows of one owner stay in one fold; give
    it where a client has several rows. calibration: sigmoid (Platt 1999) keeps the ranks, isotonic (Zadrozny & Elkan
    2002, doi:10.1145/775047.775151) fits any rising curve and ties some. folds: fewer where the rarer outcome has fewer
    clients. The same seed gives the same model. Raises InputError where the event always or never happened or only
    one owner has an outcome, ValueError for shapes and infinities.
    """
    known_N = ~np.isnan(event_N.astype(np.float64))
    x_NF, event_N = known_events(x_NF, event_N)
    _check_finite(x_NF)
    owner_N = np.arange(len(x_NF)) if owner_N is None else owner_N[known_N]
    fewest = min(len(np.unique(owner_N[event_N == outcome])) for outcome in (0, 1))
    if fewest < 2:
        raise INPUTS("event_few_clients", fewest=fewest)
    parts = min(folds, fewest)
    alone = len(np.unique(owner_N)) == len(owner_N)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(parts, shuffle=True, random_state=seed)
    splits = list(splitter.split(x_NF, event_N, None if alone else owner_N))
    trees = HistGradientBoostingClassifier(
        learning_rate=RATE,
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAST,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    model = CalibratedClassifierCV(trees, method=calibration, cv=splits, ensemble=False).fit(x_NF, event_N)
    return Boosting(model, x_NF.shape[1])


def _check_finite(x_NF: np.ndarray) -> None:
    infinite = int(np.isinf(x_NF).sum())
    if infinite:
        raise ValueError(
            f"features have {infinite} infinite values, wanted finite numbers, NaN where missing"
        )
