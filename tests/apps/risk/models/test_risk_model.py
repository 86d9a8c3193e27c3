"""A model folder: what is written comes back, and what is wrong with it is told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.models.baselines import BASELINES
from apps.risk.models.risk_model import (
    DEFAULT,
    DESCRIPTION,
    RiskModel,
    on_device,
    save_riskformer,
    write_description,
)
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from core.errors import InputError
from tests.apps.risk.models import covariates
from tests.apps.risk.models.driven import COLUMNS
from tests.apps.risk.models.networks import untrained


def _folder(path: Path, champion: str = "riskformer") -> Path:
    told = save_riskformer(untrained(), path)
    described = {"targets": {"champion": champion, "models": {"riskformer": told}}}
    write_description(path, {"context": 32, "horizon": 5, **described})
    return path


def _refused(folder: Path, **wish: str) -> InputError:
    with pytest.raises(InputError) as caught:
        RiskModel.from_pretrained(folder, **wish)
    return caught.value


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    model = RiskModel.from_pretrained(_folder(tmp_path))
    assert isinstance(model.targets, RiskformerTargets)
    assert model.event is None
    for name, value in untrained().net.state_dict().items():
        assert torch.equal(model.targets.net.state_dict()[name], value)
    past = np.random.default_rng(0).normal(size=(2, 1, 32))
    np.testing.assert_array_equal(model.targets.quantiles(past, 3), untrained().quantiles(past, 3))


def test_the_embedded_folder_is_the_default() -> None:
    model = RiskModel.from_pretrained()
    assert model.targets is not None
    assert model.targets.name == model.described["targets"]["champion"]
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 10 * 2**20
    assert model.digest == RiskModel.from_pretrained(DEFAULT).digest


def test_the_champion_scores_unless_another_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path, champion="gjr_garch")
    names = {
        wish: RiskModel.from_pretrained(folder, targets=wish).targets for wish in ("champion", "riskformer")
    }
    assert [model and model.name for model in names.values()] == ["gjr_garch", "riskformer"]
    for name in BASELINES:
        chosen = RiskModel.from_pretrained(folder, targets=name).targets
        assert chosen is not None
        assert chosen.name == name


def test_the_digest_is_of_files_and_choice(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a")
    first = RiskModel.from_pretrained(folder).digest
    assert RiskModel.from_pretrained(_folder(tmp_path / "b")).digest == first
    assert RiskModel.from_pretrained(folder, targets="gjr_garch").digest != first
    (folder / "card.md").write_text("words about it")
    assert RiskModel.from_pretrained(folder).digest == first
    save_riskformer(untrained(seed=1), folder)
    assert RiskModel.from_pretrained(folder).digest != first


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "weights_missing"), ("{", "description_unreadable"), ('{"format": 99}', "weights_newer")],
)
def test_a_folder_that_is_none_is_told(content: str | None, code: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / DESCRIPTION).write_text(content)
    error = _refused(tmp_path)
    assert error.code == code
    assert str(tmp_path) in error.sentence


def test_damaged_weights_and_unknown_models_are_told(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert "it has riskformer; train it by stage=train model=tft" in _refused(folder, targets="tft").sentence
    (folder / "riskformer.safetensors").write_bytes(b"no weights")
    assert _refused(folder).code == "weights_damaged"
    described = json.loads((folder / DESCRIPTION).read_text())
    write_description(folder, {key: value for key, value in described.items() if key != "targets"})
    assert "holds no model" in _refused(folder).sentence


def test_a_model_of_a_table_comes_back_and_asks_for_its_columns(tmp_path: Path) -> None:
    panel = covariates.whole()
    model = covariates.untrained(panel)
    part = {"champion": "riskformer", "models": {"riskformer": model.save(tmp_path)}}
    write_description(tmp_path, {"targets": part})
    loaded = RiskModel.from_pretrained(tmp_path)
    assert isinstance(loaded.targets, RiskformerCovariates)
    assert loaded.described["format"] == 2  # a program that knows 1 alone is told to be updated
    assert on_device(loaded, "auto") is loaded
    paths = [one.forecast(panel, "target", 2, 80, 0).path_SNH for one in (loaded.targets, model)]
    np.testing.assert_array_equal(paths[0], paths[1])
    loaded.require(COLUMNS)
    loaded.require(Columns(targets=(), event="default"))  # it is not asked for a target
    with pytest.raises(InputError, match="trained with observed seen, noise, the table has none: name"):
        loaded.require(Columns())
    RiskModel.from_pretrained(tmp_path, targets="gjr_garch").require(Columns())


def test_a_model_of_series_is_of_the_first_format_and_takes_any_table(tmp_path: Path) -> None:
    model = RiskModel.from_pretrained(_folder(tmp_path))
    assert model.described["format"] == 1
    model.require(COLUMNS)
