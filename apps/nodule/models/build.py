"""From the config to a detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from apps.nodule.config import ModelConfig
from apps.nodule.models.detector import Detector
from apps.nodule.reasons import BAD_CONFIG
from core.export.formats import AUTO

if TYPE_CHECKING:
    from apps.nodule.models.retinanet import RetinaNetDetector


def build_detector(
    model: ModelConfig, weights: str | None, artifacts: str | None = None, runtime: str = AUTO
) -> Detector:
    """Build the detector that the config names; raises InputError for weights that do not fit.

    artifacts: folder of stage=export whose networks run in place of PyTorch's; runtime: their format, or the fastest.
    Raises what `core.export.predictor.open_predictors` raises for them.
    """
    # late imports: MONAI takes seconds, and the compact detector does without it
    if model.name == "retinanet":
        return _build_retinanet(model, weights, artifacts, runtime)
    from apps.nodule.models.compact_detector import NETWORKS, load_compact, model_digest

    if artifacts is None:
        return load_compact(model, weights)
    from core.export.predictor import open_predictors, runtime_of

    detector = load_compact(replace(model, device="cpu"), weights)
    digest = model_digest(detector.net)
    networks = open_predictors(Path(artifacts), runtime, "nodule", digest, NETWORKS)
    return detector.with_networks(networks, runtime_of(networks))


def _build_retinanet(
    model: ModelConfig, weights: str | None, artifacts: str | None, runtime: str
) -> RetinaNetDetector:
    from apps.nodule.models.retinanet import NETWORK, load_retinanet

    if artifacts is None:
        return load_retinanet(model, weights)
    from core.export.predictor import open_predictors, runtime_of

    detector = load_retinanet(replace(model, device="cpu"), weights)
    networks = open_predictors(Path(artifacts), runtime, "nodule", detector.digest, (NETWORK,))
    for one in networks.values():
        for axis, edge in zip(one.artifact.axes, detector.tile, strict=True):
            if not axis.allows(edge):
                raise BAD_CONFIG(
                    "tile_not_exported",
                    edge=model.tile,
                    tile=edge,
                    axis=axis.name,
                    path=artifacts,
                    allowed=axis.allowed(),
                )
    return detector.with_networks(networks, runtime_of(networks))
