"""Where networks compute, in all apps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.nodule.config import ModelConfig
from apps.nodule.models.compact_detector import load_compact
from apps.risk.models.risk_model import RiskModel, on_device
from core.compute.devices import choose_device
from core.errors import ConfigError, ExitCode


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for there, device_type in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto").type == device_type


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as caught:
        choose_device("cuda")
    assert caught.value.code == "no_gpu"
    assert caught.value.sentence == "model.device=cuda, but no GPU is available here: use auto or cpu"
    assert caught.value.exit_code == ExitCode.BAD_INPUT


def test_every_app_refuses_it_before_it_reads_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = RiskModel.from_pretrained()
    for load in (
        lambda: load_compact(ModelConfig(device="cuda"), str(tmp_path / "none")),
        lambda: load_pipeline(tmp_path / "none", "cuda"),
        lambda: on_device(model, "cuda"),
    ):
        with pytest.raises(ConfigError, match="no GPU is available"):
            load()
