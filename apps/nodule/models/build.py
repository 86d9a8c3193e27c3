"""From the config to a detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from apps.nodule.config import ModelConfig
from apps.nodule.models.detector import Detector
from core.export.formats import AUTO


def build_detector(
    model: ModelConfig, weights: str | None, artifacts: str | None = None, runtime: str = AUTO
) -> Detector:
    """Build the detector that the config names; raises InputError for weights that do not fit.

    artifacts: folder of stage=export whose networks run in place of PyTorch's; runtime: their format, or the fastest.
    Raises what `core.export.predictor.open_predictors` raises for them.
    """
    # late imports: MONAI takes seconds, and the compact detector does without it
    if model.name == "retinanet":
        from apps.nodule.models.retinanet import load_retinanet

        return load_retinanet(model, weights)
    from apps.nodule.models.compact_detector import NETWORKS, load_compact, model_digest

    if artifacts is None:
        return load_compact(model, weights)
    from core.export.predictor import open_predictors, runtime_of

    detector = load_compact(replace(model, device="cpu"), weights)
    digest = model_digest(detector.net)
    networks = open_predictors(Path(artifacts), runtime, "nodule", digest, NETWORKS)
    return detector.with_networks(networks, runtime_of(networks))
