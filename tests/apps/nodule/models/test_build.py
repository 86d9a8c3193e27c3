"""The config's word becomes a detector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from apps.nodule.config import ModelConfig
from apps.nodule.models.build import build_detector
from apps.nodule.models.compact import CompactNet
from apps.nodule.models.compact_detector import CompactDetector, save_compact
from core.errors import InputError

ROOT = Path(__file__).resolve().parents[4]


def test_each_name_builds_its_detector(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_compact(CompactNet(), path, {})
    built = build_detector(ModelConfig(name="compact"), str(path))
    assert isinstance(built, CompactDetector)
    with pytest.raises(InputError) as caught:
        build_detector(ModelConfig(name="retinanet"), str(path))
    assert caught.value.code == "weights_mismatch", "the other network was asked"


def test_weights_of_the_other_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"feature_extractor.body.conv1.weight": torch.zeros(64, 1, 7, 7, 7)}, path)
    with pytest.raises(InputError, match="holds no weights of the compact detector"):
        build_detector(ModelConfig(name="compact"), str(path))


def test_the_compact_detector_does_without_monai() -> None:
    """MONAI's import takes seconds of each overnight start."""
    modules = "apps.nodule.infer, apps.nodule.models.compact_detector"
    code = f"import sys; import {modules}; print('monai' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
