"""From the config to a detector."""

from __future__ import annotations

from apps.nodule.config import ModelConfig
from apps.nodule.models.detector import Detector


def build_detector(model: ModelConfig, weights: str | None) -> Detector:
    """Build the detector that the config names; raises InputError for weights that do not fit."""
    # late imports: MONAI takes seconds, and the compact detector does without it
    if model.name == "retinanet":
        from apps.nodule.models.retinanet import load_retinanet

        return load_retinanet(model, weights)
    from apps.nodule.models.compact_detector import load_compact

    return load_compact(model, weights)
