"""The rows of the scores: their columns, what each means, and how forecasts become rows.

Legend: S paths, N entities, H steps, Q quantile levels, L tail levels, P portfolios, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apps.risk.models.forecast import (
    REPORTED_LEVELS,
    TAIL_LEVELS,
    EventForecast,
    PathForecast,
    Reason,
    Tail,
    quantiles,
    tail_errors,
    tail_of,
)
from apps.risk.models.paths import TOGETHER
from apps.risk.scoring.layout import Layout

LEVELS = REPORTED_LEVELS
ENTITY, PORTFOLIO = "entity", "portfolio"
VAR_LIMIT, TOP_SHARE = "var_limit", "pd_top_share"
LIMIT_LEVEL = 0.01  # of the VaR that is held against the limit
FEW = "few_observations"
FEWEST = round(1.0 / TAIL_LEVELS[0])  # observations from which one is expected below the lowest VaR


class Column(NamedTuple):
    """A column of the scores. unit: "1" for a plain number, "" for a name, "target" for that of the target."""

    type: pa.DataType
    unit: str
    about: str


class Figures(NamedTuple):
    """Numbers of R = N H rows, entity by entity. tail, error: of R rows where Tail says N."""

    quantile_RQ: np.ndarray
    tail: Tail
    error: Tail


def _name(kind: str, level: float) -> str:
    return f"{kind}_{round(1000 * level):03d}"


QUANTILES = tuple(_name("q", level) for level in LEVELS)
VARS = tuple(_name("var", level) for level in TAIL_LEVELS)
SHORTFALLS = tuple(_name("es", level) for level in TAIL_LEVELS)
ERRORS = tuple(f"{name}_se" for name in (*VARS, *SHORTFALLS))

COLUMNS: dict[str, Column] = {
    "kind": Column(pa.string(), "", "entity, or portfolio of entities"),
    "entity": Column(pa.string(), "", "name of the entity or the portfolio"),
    "target": Column(pa.string(), "", "what is forecast: a target, or the event"),
    "step": Column(
        pa.int16(),
        "1",
        "steps of its calendar after the as-of date; of an event those within which it may come; 0 where refused",
    ),
    "time": Column(
        pa.timestamp("us"),
        "",
        "time of that step by the calendar, in the zone of the data; null where refused",
    ),
    "model": Column(pa.string(), "", "model that forecast"),
    "reason": Column(
        pa.string(), "", "empty; with numbers a fallback of the model, without numbers a refusal"
    ),
    "observations": Column(
        pa.int32(), "1", "known values that the numbers stand on; of a portfolio the least of what it holds"
    ),
    "note": Column(
        pa.string(),
        "",
        f"{FEW}: fewer than {FEWEST} observations, of which one in {FEWEST} would lie below a 1 % VaR; or empty",
    ),
    **{
        name: Column(pa.float64(), "target", f"{level:.1%} quantile of the value at this step alone")
        for name, level in zip(QUANTILES, LEVELS, strict=True)
    },
    **{
        name: Column(
            pa.float64(),
            "target",
            f"VaR: {level:.1%} quantile of the sum over all steps up to this one, mostly negative; "
            "for returns, a sum of levels (prices) means nothing",
        )
        for name, level in zip(VARS, TAIL_LEVELS, strict=True)
    },
    **{
        name: Column(pa.float64(), "target", f"expected shortfall: mean of that sum in its worst {level:.1%}")
        for name, level in zip(SHORTFALLS, TAIL_LEVELS, strict=True)
    },
    **{
        name: Column(
            pa.float64(),
            "target",
            f"standard error of {name.removesuffix('_se')} that is due to the number of paths drawn; 0 where none is "
            "drawn, and of one step",
        )
        for name in ERRORS
    },
    "pd": Column(pa.float64(), "1", "probability of the event within `step` steps, 0 to 1; null for targets"),
    "alert": Column(
        pa.string(),
        "",
        f"{TOP_SHARE}: among the riskiest share of clients; {VAR_LIMIT}: one-step 1 % VaR below the limit; or empty",
    ),
    "drivers": Column(
        pa.string(),
        "log-odds",
        "what raises the event's log-odds most, largest first: 'status +0.80; bill +0.30'",
    ),
}

LAYOUT = Layout(
    pa.schema([(name, column.type) for name, column in COLUMNS.items()]),
    key=("kind", "entity", "target", "step"),
    scope=("model", "target"),
)
UNITS = {name: column.unit for name, column in COLUMNS.items()}


def target_rows(
    forecast: PathForecast,
    names: Sequence[str],
    label: str,
    model: str,
    time_NH: np.ndarray,
    kind: str = ENTITY,
    var_limit: float | None = None,
    *,
    drawn: bool = False,
    known_N: np.ndarray | None = None,
) -> pa.Table:
    """Return H rows of each of N forecasts, in their order; one row, step 0, of a refused one.

    time_NH: of the steps ahead, (N, H), or (H,) where they are the same for all. drawn: whether paths were drawn at
    random. known_N: values that each forecast stands on. var_limit: rows of the first step whose 1 % VaR lies below
    minus this get an alert.
    """
    path_NHS = forecast.path_SNH.transpose(1, 2, 0)
    steps = path_NHS.shape[1]
    refused_N = np.isnan(path_NHS[:, 0, 0])
    figures = _figures(path_NHS, drawn=drawn)
    entity_R = np.repeat(np.arange(len(names)), steps)
    refused_R = refused_N[entity_R]
    step_R = np.tile(np.arange(1, steps + 1, dtype=np.int16), len(names))
    time_R = np.broadcast_to(time_NH.astype("datetime64[us]"), (len(names), steps)).flatten()
    over_R = np.zeros(len(step_R), dtype=bool)
    if var_limit is not None:
        over_R = (step_R == 1) & (figures.tail.var_NL[:, list(TAIL_LEVELS).index(LIMIT_LEVEL)] < -var_limit)
    keep_R = ~refused_R | (step_R == 1)
    time_R[refused_R] = np.datetime64("NaT")
    step_R[refused_R] = 0
    table = _table(
        len(step_R),
        kind=kind,
        entity=_words(names, entity_R),
        target=label,
        step=pa.array(step_R),
        time=pa.array(time_R),
        model=model,
        reason=_words(forecast.reason_N, entity_R),
        observations=None if known_N is None else _counts(known_N[entity_R], refused_R),
        note=""
        if known_N is None
        else _words(("", FEW), (~refused_R & (known_N < FEWEST)[entity_R]).astype(np.int64)),
        alert=_words(("", VAR_LIMIT), over_R.astype(np.int64)),
        **_numbers(QUANTILES, figures.quantile_RQ),
        **_numbers(VARS, figures.tail.var_NL),
        **_numbers(SHORTFALLS, figures.tail.es_NL),
        **_numbers(ERRORS, np.concatenate(figures.error, axis=1)),
    )
    return table if keep_R.all() else table.filter(pa.array(keep_R))


def event_rows(
    forecast: EventForecast,
    names: Sequence[str],
    label: str,
    model: str,
    when: tuple[int, np.datetime64],
    alert_N: np.ndarray,
    reasons: Sequence[Sequence[Reason]],
) -> pa.Table:
    """Return one row of each of N clients; step 0 where refused.

    when: the steps within which the event may come, and the time of the last. alert_N: bool, who is marked.
    reasons: what drives each client, () where nothing does.
    """
    refused_N = np.isnan(forecast.pd_N)
    return _table(
        len(names),
        kind=ENTITY,
        entity=pa.array(names, pa.string()),
        target=label,
        step=pa.array(np.where(refused_N, 0, when[0]).astype(np.int16)),
        time=pa.array(np.where(refused_N, np.datetime64("NaT"), when[1]).astype("datetime64[us]")),
        model=model,
        reason=pa.array(forecast.reason_N, pa.string()),
        pd=pa.array(forecast.pd_N, pa.float64()),
        alert=_words(("", TOP_SHARE), alert_N.astype(np.int64)),
        drivers=pa.array(
            [
                "" if refused else "; ".join(f"{name} {odds:+.2f}" for name, odds in own)
                for own, refused in zip(reasons, refused_N, strict=True)
            ],
            pa.string(),
        ),
    )


def refused_rows(
    names: Sequence[str], codes: Sequence[str], label: str, model: str, kind: str = ENTITY
) -> pa.Table:
    """Return one row, step 0 and without numbers, of each of N entities that nobody was asked about."""
    return _table(
        len(names),
        kind=kind,
        entity=pa.array(names, pa.string()),
        target=label,
        step=pa.array(np.zeros(len(names), dtype=np.int16)),
        model=model,
        reason=pa.array(codes, pa.string()),
        alert="",
    )


def top_share(pd_N: np.ndarray, share: float) -> np.ndarray:
    """Return who is among the riskiest share, (N,) bool: share × clients with a pd, rounded down.

    NaN is never marked. Of equal ones the first count.
    """
    marked_N = np.zeros(len(pd_N), dtype=bool)
    budget = int(share * np.sum(~np.isnan(pd_N)) + 1e-9)
    marked_N[np.argsort(-pd_N, kind="stable")[:budget]] = True  # NaN comes last
    return marked_N


def _figures(path_NHS: np.ndarray, *, drawn: bool) -> Figures:
    """Return the figures of N H rows, of a few entities at a time, whose paths a processor's cache holds."""
    parts = [
        _figures_of(path_NHS[first : first + TOGETHER], drawn=drawn)
        for first in range(0, max(len(path_NHS), 1), TOGETHER)
    ]
    quantile, tail, error = zip(*parts, strict=True)
    return Figures(np.concatenate(quantile), _joined(tail), _joined(error))


def _figures_of(path_NHS: np.ndarray, *, drawn: bool) -> Figures:
    """Return quantiles of each step, tails of the sums over 1 … H steps, and the errors that simulation leaves in them.

    No error in the first step: there each stratum of a law, or each past day, occurs equally often, whatever is drawn.
    """
    N, H, S = path_NHS.shape
    sum_NHS = path_NHS.copy()  # paths of one entity and step side by side, which is what sorting them wants
    quantile_RQ = quantiles(sum_NHS.reshape(N * H, S).T, LEVELS)
    for step in range(1, H):
        sum_NHS[:, step] += sum_NHS[:, step - 1]
    tail = tail_of(sum_NHS.reshape(N * H, S).T)
    # a refused one's NaN stays; of a loss, which is negative, 0 times it alone would be -0.0
    none = Tail(*(np.repeat(0.0 * np.abs(values_RL[::H]), H, axis=0) for values_RL in tail))
    if not drawn:
        return Figures(quantile_RQ, tail, none)
    error = tail_errors(sum_NHS.reshape(N * H, S).T)
    for error_RL, none_RL in zip(error, none, strict=True):
        error_RL[::H] = none_RL[::H]
    return Figures(quantile_RQ, tail, error)


def _joined(tails: Sequence[Tail]) -> Tail:
    return Tail(*(np.concatenate(values) for values in zip(*tails, strict=True)))


def _words(words: Sequence[str], index_R: np.ndarray) -> pa.Array:
    return pc.take(pa.array(words, pa.string()), pa.array(index_R))


def _counts(count_R: np.ndarray, refused_R: np.ndarray) -> pa.Array:
    """Return counts, null where refused."""
    return pa.array(np.where(refused_R, 0, count_R).astype(np.int32), mask=refused_R)


def _numbers(names: Sequence[str], number_RC: np.ndarray) -> dict[str, pa.Array]:
    return {name: pa.array(np.ascontiguousarray(number_RC[:, c])) for c, name in enumerate(names)}


def _table(rows: int, **given: Any) -> pa.Table:
    """Return a table of all columns: arrays as given, a text in every row, null where nothing is given."""
    arrays = []
    for field in LAYOUT.schema:
        value = given.get(field.name, "" if field.name in ("drivers", "note") else None)
        if value is None:
            value = pa.nulls(rows, field.type)
        elif isinstance(value, str):
            value = pa.repeat(pa.scalar(value, pa.string()), rows)
        arrays.append(value)
    return pa.Table.from_arrays(arrays, schema=LAYOUT.schema)
