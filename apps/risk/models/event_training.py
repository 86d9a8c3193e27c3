"""From a panel to models of its event: all that were asked for, and the one that is best by a rule fixed beforehand.

The rule: the least log loss on a development part that none learned from. Where the past reaches back far enough it
is the last quarter of the dates at which the event was asked for, and what is learned from was known before the first
of them; else it is every fifth entity, by the hash of its name. Then all learn from everything.
Legend: N origins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from apps.risk.data.features import features_of, pick, telling
from apps.risk.data.outcomes import Origins, event_origins, outcomes_missing
from apps.risk.data.panel import Panel, fill_gaps, on_table_times
from apps.risk.data.windows import Windows
from apps.risk.models.boosting import fit_boosting
from apps.risk.models.event_learning import fit_riskformer_event, gather
from apps.risk.models.event_models import BoostingEvent, EventKind, ScorecardEvent
from apps.risk.models.event_parts import Past
from apps.risk.models.scorecard import fit_scorecard
from apps.risk.models.transformer import RiskFormer
from apps.risk.reasons import INPUTS
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.config import TrainerConfig

CONTEXT = 24  # times of the past that are used
MOST = 100_000  # origins that are learned from
DEVELOPMENT = 0.25  # share of dates
PARTS = 5  # one of so many entities is development where dates do not serve
FEWEST = 20  # events, and non-events, that a part needs
STRENGTHS = (1.0, 0.1, 0.01)  # of the scorecard; the first is its own usual one
STRENGTH_FOLDS = 3


class FittedEvents(NamedTuple):
    """models: by name. champion: one of them. figures: plain JSON of how it was chosen."""

    models: dict[str, EventKind]
    champion: str
    figures: dict[str, Any]


class Parts(NamedTuple):
    """Which origins are learned from and which are chosen by, (N,) bool each, and by what they were split."""

    learn_N: np.ndarray
    choose_N: np.ndarray
    by: str


def fit_event_models(
    panel: Panel,
    horizon: int,
    names: Sequence[str],
    trainer: TrainerConfig,
    folder: Checkpoints,
    log: RunLog,
    seed: int,
    *,
    start: RiskFormer | None = None,
) -> FittedEvents:
    """Fit the models named to the panel's event within `horizon` times, and choose the champion.

    panel: with entities whose event has happened: those are learned from. folder: checkpoints of networks. start: a
    trained riskformer to begin from. Raises InputError event_unknown, event_one_sided, event_too_rare.
    """
    panel = on_table_times(panel)
    windows = Windows(fill_gaps(panel), CONTEXT, horizon)
    origins = known_origins(windows, seed)
    parts = part(origins, windows.panel, horizon)
    learned, chosen = origins.where(parts.learn_N), origins.where(parts.choose_N)
    if not len(learned) or not len(chosen):
        raise INPUTS("event_too_rare", outcomes=len(origins))
    batch = gather(windows, chosen)
    figures: dict[str, dict[str, float]] = {}
    for name in names:
        model = learn(name, windows, learned, trainer, folder / "development" / name, log, seed, start=start)
        pd_N = model.probability(batch, panel.columns)
        figures[name] = {"log_loss": log_loss(pd_N, chosen.event_B)}
        log.event("development", name=name, loss=figures[name]["log_loss"])
    champion = min(names, key=lambda name: figures[name]["log_loss"])
    models = {
        name: learn(name, windows, origins, trainer, folder / "final" / name, log, seed, start=start)
        for name in names
    }
    metadata = {
        "champion": champion,
        "rule": "least log loss on the development part",
        "development": {"by": parts.by, **_counts(chosen, windows), "models": figures},
        "learned_for_development": _counts(learned, windows),
        "learned": _counts(origins, windows),
    }
    return FittedEvents(models, champion, metadata)


def known_origins(windows: Windows, seed: int) -> Origins:
    """Return the origins to learn from: all, or MOST of them drawn. Raises InputError event_unknown."""
    origins = event_origins(windows.panel, windows.horizon)
    missing = outcomes_missing(windows.panel)
    if missing or not len(origins):
        raise missing or INPUTS("event_unknown", horizon=windows.horizon)
    if len(origins) <= MOST:
        return origins
    drawn = np.random.default_rng([seed, 3]).choice(len(origins), MOST, replace=False)
    return origins.where(np.sort(drawn))


def part(origins: Origins, panel: Panel, horizon: int) -> Parts:
    """Split origins by date where that leaves FEWEST events and non-events on both sides, else by entity."""
    steps = np.unique(origins.step_B)
    from_step = steps[len(steps) - max(round(len(steps) * DEVELOPMENT), 1)]
    by_date = Parts(origins.step_B + horizon <= from_step, origins.step_B >= from_step, "date")
    if all(_enough(origins.event_B[part_N]) for part_N in by_date[:2]):
        return by_date
    drawn = np.array([hash_part(name) for name in panel.entities]) == 0
    chosen_N = drawn[origins.entity_B]
    return Parts(~chosen_N, chosen_N, "entity")


def hash_part(entity: str, parts: int = PARTS) -> int:
    """Return 0 … parts - 1, for a name always the same, whoever else is in the table."""
    return int.from_bytes(hashlib.sha256(str(entity).encode()).digest()[:8], "big") % parts


def learn(
    name: str,
    windows: Windows,
    origins: Origins,
    trainer: TrainerConfig,
    folder: Checkpoints,
    log: RunLog,
    seed: int,
    *,
    start: RiskFormer | None = None,
) -> EventKind:
    """Fit one model by name to some origins. Raises ValueError for a name that is none."""
    past = Past(windows.context, windows.horizon)
    if name == "riskformer":
        return fit_riskformer_event(windows, origins, trainer, folder, log, seed, start)
    features = features_of(gather(windows, origins), windows.panel.columns)
    names = telling(features)
    x_NF = pick(features, names)
    if name == "scorecard":
        strength = strength_of(x_NF, origins, names, seed)
        return ScorecardEvent(past, fit_scorecard(x_NF, origins.event_B, names, strength=strength))
    if name == "boosting":
        trees = fit_boosting(x_NF, origins.event_B, origins.entity_B, seed=seed)
        return BoostingEvent(past, names, trees, np.nanmedian(x_NF, axis=0))
    raise ValueError(f"there is no event model '{name}'")


def strength_of(x_NF: np.ndarray, origins: Origins, names: Sequence[str], seed: int) -> float:
    """Return of STRENGTHS the one of least log loss on clients that the scorecard did not see; the usual for few.

    Clients of many dates carry less information than as many clients of one, and want a stronger penalty.
    """
    event_N, owner_N = origins.event_B, origins.entity_B
    if min(len(np.unique(owner_N[event_N == outcome])) for outcome in (0.0, 1.0)) < FEWEST:
        return STRENGTHS[0]
    folds = StratifiedGroupKFold(STRENGTH_FOLDS, shuffle=True, random_state=seed)
    splits = list(folds.split(x_NF, event_N, owner_N))
    loss = []
    for strength in STRENGTHS:
        cards = [fit_scorecard(x_NF[seen], event_N[seen], names, strength=strength) for seen, _ in splits]
        loss.append(
            sum(
                log_loss(card.forecast(x_NF[unseen]).pd_N, event_N[unseen]) * len(unseen)
                for card, (_, unseen) in zip(cards, splits, strict=True)
            )
        )
    return STRENGTHS[int(np.argmin(loss))]


def log_loss(pd_N: np.ndarray, event_N: np.ndarray) -> float:
    """Return the mean negative log likelihood; a probability counts as 1e-12 away from 0 and 1 at least."""
    pd_N = np.clip(pd_N, 1e-12, 1.0 - 1e-12)
    return float(-np.mean(np.where(event_N == 1.0, np.log(pd_N), np.log1p(-pd_N))))


def _enough(event_N: np.ndarray) -> bool:
    return min(int((event_N == outcome).sum()) for outcome in (0.0, 1.0)) >= FEWEST


def _counts(origins: Origins, windows: Windows) -> Mapping[str, Any]:
    dates = windows.panel.calendar_T[origins.step_B]
    return {
        "origins": len(origins),
        "events": int(origins.event_B.sum()),
        "entities": len(np.unique(origins.entity_B)),
        "first": str(dates.min().astype("datetime64[D]")),
        "last": str(dates.max().astype("datetime64[D]")),
    }
