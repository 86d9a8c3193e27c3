from __future__ import annotations

from typing import Any

import pytest

from apps.nodule.config import DataConfig, ModelConfig, NoduleConfig, SimulateConfig
from core.errors import ConfigError
from core.settings.schema import walk


def test_every_field_says_what_it_is_and_every_number_has_a_range() -> None:
    fields = dict(walk(NoduleConfig))
    assert len(fields) > 30
    for path, field in fields.items():
        assert len(field.metadata["about"]) > 5, path
        if "int" in str(field.type) or "float" in str(field.type):
            bounds = [field.metadata[key] for key in ("low", "above", "high")]
            assert any(bound is not None for bound in bounds), f"{path} has no range"


@pytest.mark.parametrize(
    ("section", "wrong", "sentence"),
    [
        (ModelConfig, {"threshold": 1.01}, "model.threshold=1.01 is out of range: allowed is 0 to 1"),
        (ModelConfig, {"name": "unet"}, "model.name=unet is not one of compact, retinanet"),
        (DataConfig, {"source": "web"}, "data.source=web is not one of mixed, phantoms, folder"),
        (SimulateConfig, {"dose": 0.0}, "simulate.dose=0.0 is out of range: allowed is 0.05 to 10"),
        (SimulateConfig, {"format": "jpeg"}, "simulate.format=jpeg is not one of dicom, nifti, mhd, nrrd"),
        (
            NoduleConfig,
            {"stage": "dance"},
            "stage=dance is not one of train, evaluate, infer, submit, serve, export, simulate",
        ),
        (NoduleConfig, {"seed": -1}, "seed=-1 is out of range: allowed is 0 to "),
    ],
)
def test_impossible_settings_are_named(section: type, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        section(**wrong)
    assert caught.value.sentence.startswith(sentence)
