"""A name that cannot serve what is asked is refused by every verb, in one line; none is replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.risk import backtest, evaluate, score, train
from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.data.columns import Columns
from apps.risk.models.baselines import HistoricalSimulation
from apps.risk.models.risk_model import DEFAULT
from apps.risk.models.suited import require_group_used, require_suited
from core.errors import ConfigError
from core.runs.folder import open_run
from tests.apps.risk.models.networks import untrained
from tests.apps.risk.score_inputs import config, returns

TARGETS, EVENT = Columns(targets=("gain",)), Columns(targets=(), event="bad")
BOTH = Columns(targets=("gain",), event="bad")


@pytest.mark.parametrize("name", ["champion", *dict.fromkeys((*TARGET_MODELS, *EVENT_MODELS))])
def test_a_name_serves_the_labels_of_its_kind_alone(name: str) -> None:
    for columns, tables in (
        (TARGETS, [TARGET_MODELS]),
        (EVENT, [EVENT_MODELS]),
        (BOTH, [TARGET_MODELS, EVENT_MODELS]),
    ):
        if name == "champion" or all(name in table for table in tables):
            require_suited(name, columns)
            continue
        with pytest.raises(ConfigError, match=f'model={name} cannot forecast "'):
            require_suited(name, columns)


def test_a_group_that_no_model_uses_is_refused() -> None:
    grouped = Columns(group="sector")
    require_group_used(Columns(), [HistoricalSimulation()])
    require_group_used(grouped, [HistoricalSimulation(), untrained()])
    for models in ([HistoricalSimulation()], [None]):
        with pytest.raises(ConfigError, match=r"data\.group=sector is of use to a riskformer"):
            require_group_used(grouped, models)


@pytest.mark.parametrize("verb", [score, evaluate, backtest, train])
@pytest.mark.parametrize("label", ["gain", "bad"])
def test_every_verb_refuses_a_name_of_the_other_kind(verb: object, label: str, tmp_path: Path) -> None:
    """stage=score model=scorecard on returns scored with riskformer, and did not say so."""
    table = returns(3).assign(bad=lambda one: (one["gain"] > np.quantile(one["gain"], 0.99)).astype(int))
    words = {"model_name": "scorecard", "weights": str(DEFAULT)}
    if label == "bad":
        words = {
            "model_name": "gjr_garch",
            "weights": str(DEFAULT),
            "data_targets": "",
            "data_event": "bad",
            "data_observed": "gain",
        }
    if (verb, label) == (backtest, "bad"):
        return  # has no event at all to walk through
    record = open_run("risk", "score", str(tmp_path / "run"), "", 0)
    with record.log, pytest.raises(ConfigError, match="cannot forecast") as caught:
        verb.run(config(tmp_path, table, **words), record)  # type: ignore[attr-defined]
    assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run" / "model").exists()
