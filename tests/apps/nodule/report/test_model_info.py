from __future__ import annotations

import dataclasses

import pytest

from apps.nodule.report.model_info import ModelInfo


def test_a_model_is_compared_by_value_and_cannot_change(model: ModelInfo) -> None:
    assert model == ModelInfo("compact", "1.0.0", 0.4)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'version'"):
        model.version = "2"  # type: ignore[misc]
