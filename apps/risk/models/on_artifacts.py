"""Riskformers whose networks run from what stage=export wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from apps.risk.models.exported import ALONE, EVENT, FORECAST
from apps.risk.models.interface import EventModel, TargetModel
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from apps.risk.models.riskformer_event import RiskformerEvent
from apps.risk.reasons import INPUTS
from core.export.predictor import open_predictors, runtime_of

APP = "risk"
THREADS = 1  # of a call: slices and their parts are what is spread over cores


class OnArtifacts(NamedTuple):
    """Models of targets and of an event. runtimes: "targets" or "event" → the format that runs in PyTorch's place."""

    targets: TargetModel | None
    event: EventModel | None
    runtimes: Mapping[str, str]


def on_artifacts(
    targets: TargetModel | None, event: EventModel | None, weights: str, artifacts: Path, runtime: str
) -> OnArtifacts:
    """Return the models with exported networks in place of PyTorch's, as far as the folder has them.

    weights: digest of the models' folder. Only files whose rows do not depend on their batch are taken: a series'
    numbers do not depend on how many are scored at once, nor in which order. Raises what
    `core.export.predictor.open_predictors` raises, and InputError, artifacts_unused, where no model is a riskformer.
    """
    wanted = [
        *((FORECAST, ALONE) if isinstance(targets, RiskformerTargets) else ()),
        *((FORECAST,) if isinstance(targets, RiskformerCovariates) else ()),
        *((EVENT,) if isinstance(event, RiskformerEvent) else ()),
    ]
    if not wanted:
        names = ", ".join(one.name for one in (targets, event) if one is not None)
        raise INPUTS("artifacts_unused", models=names)
    networks = open_predictors(
        artifacts, runtime, APP, weights, wanted, threads=THREADS, rows_independent=True
    )
    chosen, runtimes = runtime_of(networks), {}
    if isinstance(targets, RiskformerTargets | RiskformerCovariates) and networks.keys() & {FORECAST, ALONE}:
        targets, runtimes["targets"] = targets.with_networks(networks), chosen
    if isinstance(event, RiskformerEvent) and EVENT in networks:
        event, runtimes["event"] = event.with_networks(networks), chosen
    return OnArtifacts(targets, event, runtimes)
