"""A model and a table: what fits, which parts are trained, and how many paths are taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from apps.risk.config import DataConfig, ModelConfig, ScoreConfig
from apps.risk.data.columns import Columns
from apps.risk.data.load import load_panel
from apps.risk.models.risk_model import RiskModel, load_model
from apps.risk.scoring.scorer import first_day, require_fit, score_into, settings_of, trained_parts
from core.errors import ConfigError, InputError
from tests.apps.risk.score_inputs import returns

GAIN = Columns(targets=("gain",))


def baseline() -> RiskModel:
    return load_model(name="historical_simulation", device="cpu")


def test_a_model_that_cannot_serve_a_table_is_refused_by_name_or_by_what_it_holds() -> None:
    require_fit("champion", baseline(), GAIN)
    with pytest.raises(ConfigError, match='model=scorecard cannot forecast "gain"'):
        require_fit("scorecard", baseline(), GAIN)
    with pytest.raises(InputError, match='the model does not forecast "bad"') as caught:
        require_fit("champion", baseline(), Columns(targets=(), event="bad"))
    assert caught.value.code == "model_unsuited"


def test_a_baseline_has_seen_nothing() -> None:
    assert trained_parts(baseline(), GAIN) == ()
    assert trained_parts(load_model(device="cpu"), GAIN) == ("targets",)
    assert trained_parts(load_model(device="cpu"), Columns(targets=(), event="bad")) == ()


def test_paths_are_the_models_usual_number_unless_asked_for() -> None:
    model = baseline()
    assert model.targets is not None
    usual = settings_of(model, ModelConfig(horizon=3), ScoreConfig(chunk=7), seed=5)
    assert (usual.horizon, usual.paths, usual.seed, usual.chunk) == (3, model.targets.usual_paths, 5, 7)
    assert settings_of(model, ModelConfig(paths=200), ScoreConfig(), seed=0).paths == 200


def test_rows_are_those_of_the_model(tmp_path: Path) -> None:
    returns(2).to_csv(tmp_path / "t.csv", index=False)
    data = DataConfig(None, str(tmp_path / "t.csv"), entity="asset", time="day", targets="gain")
    loaded = load_panel(data)
    settings = settings_of(baseline(), ModelConfig(horizon=2, paths=100), ScoreConfig(), seed=0)
    rows: list[pa.Table] = []
    tally = score_into(rows.append, baseline(), loaded, settings, None)
    assert sum(table.num_rows for table in rows) == 3 * 2
    assert (tally.aside, tally.few, list(tally.portfolios)) == ([], 2, ["equal_weights"])
    assert first_day(loaded) == np.datetime64("2024-03-23")
