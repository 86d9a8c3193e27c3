"""Where a detector computes, and that each of ours is one."""

from __future__ import annotations

import inspect

import pytest
import torch

from apps.nodule.models.blob import BlobDetector
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.detector import Detector, choose_device
from apps.nodule.models.retinanet import RetinaNetDetector
from core.errors import ConfigError


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for there, kind in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto").type == kind


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        choose_device("cuda")
    assert caught.value.code == "no_gpu"
    assert caught.value.sentence == "model.device is cuda, but no GPU is available here; use auto or cpu"


@pytest.mark.parametrize("made", [BlobDetector, CompactDetector, RetinaNetDetector])
def test_all_detectors_have_one_face(made: type) -> None:
    wanted = list(inspect.signature(Detector.detect).parameters)
    assert list(inspect.signature(made.detect).parameters) == wanted  # type: ignore[attr-defined]
    assert isinstance(made.name, str)  # type: ignore[attr-defined]
