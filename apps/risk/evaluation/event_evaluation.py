"""Models of an event side by side: credit figures of development and of the test, and the champion by development.

The rule: the least log loss. Test is the last date whose outcome is known, development the date one horizon before it;
with one such date alone every other client, by the hash of its name, is development.
Legend: N entities, B clients of a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import log_loss

from apps.risk.config import RiskConfig
from apps.risk.data.features import features_of
from apps.risk.data.history import known_until
from apps.risk.data.load import Loaded
from apps.risk.data.outcomes import Origins, event_origins, outcomes_missing
from apps.risk.data.panel import Panel, fill_gaps, on_table_times, take
from apps.risk.data.windows import Windows
from apps.risk.evaluation.feature_stability import feature_stability
from apps.risk.evaluation.judged import number
from apps.risk.evaluation.parts import Figures, Parts
from apps.risk.metrics.credit import CalibrationTable, calibration_table, credit_figures_with_intervals
from apps.risk.models.interface import EventModel
from apps.risk.reasons import INPUTS

PAST = 24  # times of the calendar whose features are compared, as many as models of an event look at


class Evaluated(NamedTuple):
    """The evaluation of an event.

    parts: credit figures of both parts with intervals over clients. tables: each model's calibration on the test.
    stability: feature → PSI from the clients of development to those of the test, largest first.
    """

    parts: Parts
    tables: dict[str, CalibrationTable]
    stability: Mapping[str, float | None]


def events(cfg: RiskConfig, loaded: Loaded, models: Mapping[str, EventModel], horizon: int) -> Evaluated:
    """Judge the models of an event on both parts, and say how far the clients differ between them.

    A client without a PD by any one model is left out for all. Raises InputError where no outcome is known yet, or
    the folder has no model of an event.
    """
    panel = on_table_times(loaded.everyone)
    if not models:
        raise INPUTS("event_model_missing")
    origins = event_origins(panel, horizon)
    missing = outcomes_missing(panel)
    if missing or not len(origins):
        raise missing or INPUTS("outcome_unknown", horizon=horizon, as_of=loaded.as_of.text)
    parts: list[Figures] = []
    tables: dict[str, CalibrationTable] = {}
    features = []
    both = event_parts(panel, origins, horizon)
    past = min(PAST, *(int(part.step_B[0]) + 1 for part in both))  # as long on both sides
    for part in both:
        seen = seen_at(panel, part)
        features.append(features_of(Windows(fill_gaps(seen), past, horizon).latest(), panel.columns))
        pd_by_model, event_B = pds_of(seen, part, models)
        parts.append(
            {
                name: _credit(pd_B, event_B, cfg.score.alert_share, cfg.seed)
                for name, pd_B in pd_by_model.items()
            }
        )
        tables = {name: calibration_table(pd_B, event_B) for name, pd_B in pd_by_model.items()}
    stability = {
        name: number(psi) for name, psi in feature_stability(features[0], features[1], panel.columns).items()
    }
    return Evaluated(Parts(*parts), tables, stability)


def event_parts(panel: Panel, origins: Origins, horizon: int) -> tuple[Origins, Origins]:
    """Return the origins of development and of test."""
    last = int(origins.step_B.max())
    before = origins.where(origins.step_B == last - horizon)
    test = origins.where(origins.step_B == last)
    if len(before) and 0.0 < before.event_B.mean() < 1.0:
        return before, test
    names = [panel.entities[entity] for entity in test.entity_B]
    odd_B = np.array([hashlib.sha256(name.encode()).digest()[0] % 2 == 1 for name in names])
    return test.where(~odd_B), test.where(odd_B)


def least_log_loss(development: Figures) -> dict[str, Any]:
    """Return the champion of an event, the rule, and what it was chosen by."""
    losses = {name: figures["log_loss"] for name, figures in development.items()}
    best = min(losses, key=lambda name: (losses[name], name))
    return {"champion": best, "rule": "least log loss on development", "log_loss": losses}


def seen_at(panel: Panel, origins: Origins) -> Panel:
    """Return the clients of one date, as they were known at it."""
    asked_N = np.zeros(len(panel.entities), dtype=bool)
    asked_N[origins.entity_B] = True
    return known_until(take(panel, asked_N), int(origins.step_B[0]) + 1)


def pds_of(
    seen: Panel, origins: Origins, models: Mapping[str, EventModel]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the PD of each client of one date by each model, and what came, (B,), of those that all models know."""
    event_B = origins.event_B[np.argsort(origins.entity_B)]
    pds = {name: model.forecast_event(seen).pd_N for name, model in models.items()}
    known_B = ~np.any([np.isnan(pd_B) for pd_B in pds.values()], axis=0)
    if not 0.0 < event_B[known_B].mean() < 1.0:
        raise INPUTS("event_rare", clients=known_B.sum())
    return {name: pd_B[known_B] for name, pd_B in pds.items()}, event_B[known_B]


def _credit(pd_B: np.ndarray, event_B: np.ndarray, alert_share: float, seed: int) -> dict[str, Any]:
    figures = credit_figures_with_intervals(pd_B, event_B, alert_share, seed=seed)
    content: dict[str, Any] = {
        name: [number(one.value), number(one.lower), number(one.upper)] for name, one in figures.items()
    }
    return {**content, "log_loss": number(float(log_loss(event_B, pd_B))), "clients": len(pd_B)}
