"""A model folder: what is written comes back, and what is wrong with it is reported in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.models.baselines import BASELINES
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.models.risk_model import (
    DEFAULT,
    EMBEDDED,
    RiskModel,
    load_model,
    on_device,
    save_riskformer,
)
from apps.risk.models.riskformer import RiskformerTargets
from apps.risk.models.riskformer_covariates import RiskformerCovariates
from core.errors import ConfigError, InputError
from tests.apps.risk.models import covariates
from tests.apps.risk.models.driven import COLUMNS
from tests.apps.risk.models.networks import untrained


def _folder(path: Path, champion: str = "riskformer") -> Path:
    result = save_riskformer(untrained(), path)
    write_description(path, Description(TargetsPart(champion, {"riskformer": result})))
    return path


def _refused(folder: Path, **requested: str) -> InputError:
    with pytest.raises(InputError) as caught:
        RiskModel.from_pretrained(folder, **requested)
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
    assert model.described.targets is not None
    assert model.targets.name == model.described.targets.champion
    assert sum(path.stat().st_size for path in DEFAULT.iterdir()) < 10 * 2**20
    assert model.digest == RiskModel.from_pretrained(DEFAULT).digest


def test_the_champion_scores_unless_another_is_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path, champion="gjr_garch")
    names = {
        requested: RiskModel.from_pretrained(folder, targets=requested).targets
        for requested in ("champion", "riskformer")
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


def test_damaged_weights_and_unknown_models_are_reported(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert "it has riskformer; train it by stage=train model=tft" in _refused(folder, targets="tft").sentence
    (folder / "riskformer.safetensors").write_bytes(b"no weights")
    assert _refused(folder).code == "weights_damaged"
    write_description(folder, Description())
    assert "holds no model" in _refused(folder).sentence


def test_a_model_of_a_table_comes_back_and_asks_for_its_columns(tmp_path: Path) -> None:
    panel = covariates.whole()
    model = covariates.untrained(panel)
    write_description(tmp_path, Description(TargetsPart("riskformer", {"riskformer": model.save(tmp_path)})))
    loaded = RiskModel.from_pretrained(tmp_path)
    assert isinstance(loaded.targets, RiskformerCovariates)
    assert loaded.described.format == 2  # a program that knows 1 alone is asked to be updated
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
    assert model.described.format == 1
    model.require(COLUMNS)


def test_a_part_that_the_named_model_does_not_serve_is_not_given_another_one(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    assert RiskModel.from_pretrained(folder, targets="scorecard", event="scorecard").targets is None
    with pytest.raises(
        ConfigError, match=r"model=scorecard cannot forecast targets, for which .* riskformer, tft"
    ) as caught:
        load_model(folder, "scorecard")
    assert (caught.value.code, caught.value.exit_code) == ("model_not_in_part", 2)
    with pytest.raises(
        ConfigError, match=r"model=gjr_garch cannot forecast an event, .* riskformer, scorecard"
    ):
        load_model(EMBEDDED / "loan_book", "gjr_garch")
