"""Models of targets by name, side by side: baselines without a file, trained ones from a model folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from apps.risk.models.baselines import BASELINES, GjrGarch
from apps.risk.models.interface import TargetModel
from apps.risk.models.risk_model import DEFAULT, describe, load_targets, to_device
from apps.risk.reasons import INPUTS


def candidates(
    names: Sequence[str], folder: Path | None, device: str = "auto", every: int = 20
) -> dict[str, TargetModel]:
    """Return the models named, in that order, each once.

    folder: of trained models; None takes the embedded one. every: steps of a walk between two fits of a GARCH.
    Raises InputError as RiskModel.from_pretrained does, for a name that is neither a baseline nor in the folder.
    """
    models: dict[str, TargetModel] = {}
    for name in dict.fromkeys(names):
        if name in BASELINES:
            model: TargetModel | None = BASELINES[name]()
        else:
            path = folder or DEFAULT
            model = load_targets(path, describe(path).targets, name)
        if model is None:
            raise INPUTS("model_of_event_only", folder=folder, model=name)
        to_device(model, device)
        models[name] = dataclasses.replace(model, every=every) if isinstance(model, GjrGarch) else model
    return models
