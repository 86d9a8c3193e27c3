"""The risk app from Python: score a data frame with a trained model, without files; the same numbers as stage=score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd
import pyarrow as pa

from apps.risk.config import DataConfig, ModelConfig, ScoreConfig
from apps.risk.data.columns import Columns
from apps.risk.data.frames import table_of
from apps.risk.data.holdings import holdings_of
from apps.risk.data.load import load_table, with_zone
from apps.risk.data.set_aside import require_few
from apps.risk.evaluation.seen_in_training import seen_until
from apps.risk.models.risk_model import RiskModel, load_model
from apps.risk.report.input_notes import input_notes
from apps.risk.scoring.layout import fit
from apps.risk.scoring.score_rows import Refused
from apps.risk.scoring.scorer import first_day, require_fit, score_into, settings_of, trained_parts
from apps.risk.scoring.scores import LAYOUT

KEY_ORDER = [(name, "ascending") for name in LAYOUT.key]
REJECTED = ["row", "entity", "column", "code", "sentence"]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one date.

    frame: one row for each entity (and portfolio), target and step, sorted by kind, entity, target, step; the columns
    of stage=score: kind, entity, target, step, time, model, reason, observations, note; quantiles q_005 … q_995 of the
    value at the step; var_010, var_025, var_050 and es_010 … of the sum over the steps up to it, in the unit of the
    target, a loss negative, with their standard errors …_se; pd, a probability 0 to 1; alert; drivers. Numbers are NaN
    where a row has none.
    refused: series and portfolios without numbers, with reasons. rejected: rows of the table that were set aside
    (row, entity, column, code, sentence). as_of: the date or time of which the future was unknown.
    notes: what a person should know of the input, one sentence each. seen_in_training: "targets" or "event" → last date
    of a training that saw days which are forecast here, so that these figures are not out of sample.

    >>> from apps import risk
    >>> sample = risk.load_sample("markets")
    >>> model = risk.load_model(name="historical_simulation")
    >>> scores = risk.score_table(sample.table, sample.columns, model, as_of="2018-12-31", horizon=1)
    >>> scores.frame[["kind", "entity", "step"]].values.tolist()[-1]
    ['portfolio', 'equal_weights', 1]
    """

    frame: pd.DataFrame
    refused: tuple[Refused, ...]
    rejected: pd.DataFrame
    as_of: str
    notes: tuple[str, ...] = ()
    seen_in_training: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class RowsOfScores:
    """The same as `Scores`, with the rows as the files of stage=score hold them. rejected: faults.REJECTED."""

    rows: pa.Table
    refused: tuple[Refused, ...]
    rejected: pd.DataFrame
    as_of: str
    notes: tuple[str, ...]
    seen_in_training: Mapping[str, str]


def score_table(
    table: pd.DataFrame,
    columns: Columns,
    model: RiskModel | None = None,
    *,
    as_of: str | None = None,
    horizon: int = 10,
    paths: int | None = None,
    portfolios: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    alert_share: float = 0.1,
    var_limit: float | None = None,
    calendar: str | None = None,
    max_age: str | None = None,
    max_rejected: float = 0.05,
) -> Scores:
    """Score a table in memory, as it was known at a date.

    table: long, one row for each entity and time. columns: what its columns are called, and what each is for; other
    columns are not read. model: of `load_model`; None is the embedded one.
    as_of: ISO date (the end of that day) or time; None is the last date of the table. Later rows are not looked at.
    horizon: steps ahead of targets; an event's is that of its model. paths: futures of each series; None: as many as
    the model needs for steady numbers. portfolios: name → entity → weight; None: one, "equal_weights", of all series.
    alert_share: share of clients, riskiest first, that are marked. var_limit: mark a series whose one-step 1 % VaR
    lies below minus this, in the unit of the target. calendar: days that are steps, such as "nyse"; None: the weekdays
    that a series has. max_age: age of a series' newest value above which it is refused, such as "3 steps", or "off".
    max_rejected: share of the rows, 0 to 1, that may be set aside.

    Raises ConfigError for options that do not fit each other, InputError where the table as a whole cannot be scored:
    column_missing, as_of_before_data, data_too_old, too_many_rows_rejected, schema_differs and others.

    >>> from apps import risk
    >>> sample = risk.load_sample("markets")
    >>> scores = risk.score_table(sample.table, sample.columns, as_of="2018-12-31", horizon=2)
    >>> first = scores.frame.query("entity == 'WTI' and step == 1").iloc[0]
    >>> print(first["model"], first["time"].date(), bool(first["var_010"] < first["q_500"]))
    riskformer 2019-01-01 True
    >>> scores.refused
    ()
    """
    scored = score_rows_of(
        table_of(table, columns),
        columns,
        load_model() if model is None else model,
        as_of=as_of,
        horizon=horizon,
        paths=paths,
        portfolios=portfolios,
        seed=seed,
        alert_share=alert_share,
        var_limit=var_limit,
        calendar=calendar,
        max_age=max_age,
        max_rejected=max_rejected,
    )
    return Scores(
        frame=scored.rows.to_pandas(),
        refused=scored.refused,
        rejected=scored.rejected[REJECTED].reset_index(drop=True),
        as_of=scored.as_of,
        notes=scored.notes,
        seen_in_training=scored.seen_in_training,
    )


def score_rows_of(
    own: pd.DataFrame,
    columns: Columns,
    model: RiskModel,
    *,
    as_of: str | None = None,
    horizon: int = 10,
    paths: int | None = None,
    portfolios: Mapping[str, Mapping[str, float]] | None = None,
    seed: int = 0,
    alert_share: float = 0.1,
    var_limit: float | None = None,
    calendar: str | None = None,
    max_age: str | None = None,
    max_rejected: float = 0.05,
) -> RowsOfScores:
    """Score a table as `score_table` does, for those who want Arrow's rows; own: of `table_of`, or as it was read."""
    columns = with_zone(own, columns)
    cfg = DataConfig(sample=None, calendar=calendar, max_age=max_age)
    asked, marks = (
        ModelConfig(horizon=horizon, paths=paths),
        ScoreConfig(alert_share=alert_share, var_limit=var_limit),
    )
    holdings = None if portfolios is None else holdings_of(portfolios)
    loaded = load_table(own, columns, cfg, as_of, model.described.categories, fresh=True)
    require_few(loaded.checked, max_rejected)
    require_fit("champion", model, columns)
    tables = [LAYOUT.schema.empty_table()]
    tally = score_into(
        lambda rows: tables.append(fit(rows, LAYOUT)),
        model,
        loaded,
        settings_of(model, asked, marks, seed),
        holdings,
    )
    rows = pa.concat_tables(tables).sort_by(KEY_ORDER)
    until = {
        part: seen_until(model.described, part, first_day(loaded)) for part in trained_parts(model, columns)
    }
    return RowsOfScores(
        rows=rows,
        refused=tuple(sorted(tally.aside)),
        rejected=loaded.checked.rejected,
        as_of=loaded.as_of.text,
        notes=(
            *loaded.checked.notes,
            *input_notes(loaded, [model.targets] if model.targets is not None else (), model.event),
        ),
        seen_in_training={part: date for part, date in until.items() if date is not None},
    )
