"""A model and a table of one date, put together: whether the one can score the other, and the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from apps.risk.config import ModelConfig, ScoreConfig
from apps.risk.data.columns import Columns
from apps.risk.data.holdings import Holdings
from apps.risk.data.load import Loaded
from apps.risk.models.baselines import BASELINES
from apps.risk.models.paths import PATHS
from apps.risk.models.risk_model import RiskModel
from apps.risk.models.suited import require_group_used, require_suited
from apps.risk.reasons import INPUTS
from apps.risk.scoring.score_rows import Settings, Tally, score_rows
from core.compute.threads import one_thread


def require_fit(name: str, model: RiskModel, columns: Columns) -> None:
    """Raise where a model cannot score a table: ConfigError by its name, InputError by what it was trained on.

    name: as the model was asked for, "champion" or one of TARGET_MODELS and EVENT_MODELS.
    """
    require_suited(name, columns)
    require_group_used(columns, [model.targets])
    for labels, part, option in (
        (columns.targets, model.targets, "data.targets"),
        ((columns.event,) if columns.event else (), model.event, "data.event"),
    ):
        if labels and part is None:
            raise INPUTS("model_unsuited", label=labels[0], option=option)
    model.require(columns)


def settings_of(model: RiskModel, asked: ModelConfig, score: ScoreConfig, seed: int) -> Settings:
    """Return how a model scores; it takes its usual number of paths where none is asked for."""
    return Settings(
        horizon=asked.horizon,
        paths=asked.paths or (PATHS if model.targets is None else model.targets.usual_paths),
        seed=seed,
        chunk=score.chunk,
        alert_share=score.alert_share,
        var_limit=score.var_limit,
    )


def trained_parts(model: RiskModel, columns: Columns) -> tuple[str, ...]:
    """Return for which of "targets" and "event" a table is scored by a trained model, not by a baseline."""
    targets = columns.targets and model.targets is not None and model.targets.name not in BASELINES
    event = columns.event is not None and model.event is not None
    return (*(("targets",) if targets else ()), *(("event",) if event else ()))


def first_day(loaded: Loaded) -> np.datetime64:
    """Return the first day that is forecast."""
    return loaded.as_of.wall.astype("datetime64[D]") + 1


def score_into(
    add: Callable[[pa.Table], None],
    model: RiskModel,
    loaded: Loaded,
    settings: Settings,
    holdings: Holdings | None,
) -> Tally:
    """Score all labels of a table that `require_fit` has passed, and return what became of all.

    add: takes the rows, some slices at a time, in any order. holdings: portfolios; None is one of equal weights.
    """
    event = None
    if model.event is not None and model.described.event is not None:
        event = (model.event, model.described.event.horizon)
    tally = Tally()
    # one thread each: slices are what is spread over cores
    with one_thread():
        for scored in score_rows(loaded, model.targets, event, settings, holdings):
            add(scored.rows)
            tally.add(scored)
    return tally
