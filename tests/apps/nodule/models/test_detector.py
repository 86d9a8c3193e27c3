"""That each of our detectors is one."""

from __future__ import annotations

import inspect

import pytest

from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.detector import Detector
from apps.nodule.models.retinanet import RetinaNetDetector


@pytest.mark.parametrize("made", [CompactDetector, RetinaNetDetector])
def test_all_detectors_have_one_face(made: type) -> None:
    wanted = list(inspect.signature(Detector.detect).parameters)
    assert list(inspect.signature(made.detect).parameters) == wanted  # type: ignore[attr-defined]
    assert isinstance(made.name, str)  # type: ignore[attr-defined]
