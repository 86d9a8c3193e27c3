"""TensorRT without a GPU: what an engine is tuned for, and how a machine without one is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import InputError
from core.export.to_tensorrt import lacking, load, shapes_of
from tests.core.export.networks import network


def test_an_engine_is_tuned_for_the_first_sizes() -> None:
    blur = network()
    assert shapes_of(blur, blur.inputs[0]) == ((1, 1, 8, 8), (2, 1, 16, 24), (8, 1, 64, 64))


def test_a_machine_without_a_gpu_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert lacking() == "this machine has no NVIDIA GPU"
    with pytest.raises(InputError, match="runs on an NVIDIA GPU, and this machine has none"):
        load(tmp_path / "blur.plan", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert lacking() is None
