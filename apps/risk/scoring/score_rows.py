"""All scores of one date, slice by slice: every entity in the output with numbers or with the reason why not.

`score_rows` yields `Scored`: rows with what there is to say of them; `Tally` adds them up.

Legend: N entities of a slice, H steps, P portfolios.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from apps.risk.data.ahead import next_times, times_ahead
from apps.risk.data.groups import slices
from apps.risk.data.history import last_values
from apps.risk.data.holdings import Holdings
from apps.risk.data.load import Loaded
from apps.risk.data.panel import Panel, by_calendar
from apps.risk.models.forecast import EventForecast, PathForecast
from apps.risk.models.interface import EventModel, TargetModel
from apps.risk.models.portfolio_calendars import Share, divide
from apps.risk.models.portfolio_sum import PortfolioSum
from apps.risk.models.walking import Fitting
from apps.risk.reasons import SERIES
from apps.risk.scoring.scores import (
    ENTITY,
    FEWEST,
    PORTFOLIO,
    event_rows,
    refused_rows,
    target_rows,
    top_share,
)
from core.compute.threads import one_thread_each
from core.jobs.context import check
from core.jobs.context import progress as report_progress
from core.terminal.progress import progress

T = TypeVar("T")
MOST_THREADS = 4  # slices in memory at once, and one more
MOST_VALUES = (
    20_000_000  # of the paths of a slice, 160 MB: fewer than score.chunk are scored at once beyond that
)


@dataclass(frozen=True)
class Settings:
    """How it is scored. horizon: steps of targets. chunk: entities of a slice. Others as in apps.risk.config."""

    horizon: int
    paths: int
    seed: int
    chunk: int
    alert_share: float
    var_limit: float | None


class Refused(NamedTuple):
    """A series or a portfolio that has no numbers for a target or an event, and why.

    kind: "entity" or "portfolio". entity: its name. target: the target or the event. code: the stable reason code, as
    in the column `reason` of the scores. sentence: the reason in words.

    >>> from apps import risk
    >>> sample = risk.load_sample("markets")
    >>> model = risk.load_model(name="historical_simulation")
    >>> scores = risk.score_table(sample.table, sample.columns, model, as_of="2019-01-03", max_age="2 days")
    >>> [(one.entity, one.code) for one in scores.refused]
    [('Nasdaq', 'too_old'), ('S&P 500', 'too_old')]
    """

    kind: str
    entity: str
    target: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Scored:
    """Rows that are ready, and what there is to say of them.

    aside: whose rows have no numbers. few: series of few observations among them. calendars: series by calendar, once
    for each target. portfolios: of each portfolio the calendar on which it is summed.
    """

    rows: pa.Table
    aside: tuple[Refused, ...] = ()
    few: int = 0
    calendars: Mapping[str, int] = field(default_factory=dict)
    portfolios: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Tally:
    """What became of all. aside: in the order of the work. alerts: rows by code. The others: as in Scored."""

    aside: list[Refused] = field(default_factory=list)
    alerts: Counter[str] = field(default_factory=Counter)
    few: int = 0
    calendars: Counter[str] = field(default_factory=Counter)
    portfolios: dict[str, str] = field(default_factory=dict)

    def add(self, scored: Scored) -> None:
        """Count what was scored."""
        self.aside += scored.aside
        self.few += scored.few
        self.calendars.update(scored.calendars)
        self.portfolios |= scored.portfolios
        for entry in pc.value_counts(scored.rows["alert"]).to_pylist():
            if entry["values"]:
                self.alerts[entry["values"]] += entry["counts"]

    def refused(self, labels: int) -> dict[str, str]:
        """Return entity → code of the first label, for the entities that have no numbers for any label."""
        codes: dict[str, list[str]] = {}
        for one in self.aside:
            if one.kind == ENTITY:
                codes.setdefault(one.entity, []).append(one.code)
        return {name: own[0] for name, own in codes.items() if len(own) == labels}


def score_rows(
    loaded: Loaded,
    targets: TargetModel | None,
    event: tuple[EventModel, int] | None,
    settings: Settings,
    holdings: Holdings | None,
) -> Iterator[Scored]:
    """Yield the rows of all labels, a slice at a time.

    targets: needed where the table has targets. event: model of the event and its horizon, likewise.
    """
    labels = len(loaded.columns.labels)
    for done, label in enumerate(loaded.columns.targets):
        report_progress(done, labels)
        if targets is not None:
            yield from _target(loaded, targets, label, settings, holdings)
    if loaded.columns.event is not None and event is not None:
        report_progress(labels - 1, labels)
        yield from _event(loaded, event, loaded.columns.event, settings)
    report_progress(labels, labels)


def _target(
    loaded: Loaded, model: TargetModel, label: str, settings: Settings, holdings: Holdings | None
) -> Iterator[Scored]:
    panel = loaded.panel_of(label)
    yield _not_asked(loaded.refused_by[label], label, model.name, _calendars(panel) if panel.entities else {})
    if not panel.entities:
        return
    divided = divide(panel, holdings)
    for names, code in divided.refused:
        aside = tuple(Refused(PORTFOLIO, name, label, code, SERIES.sentence(code)) for name in names)
        yield Scored(refused_rows(names, [code] * len(names), label, model.name, PORTFOLIO), aside)
    ask = partial(_calendar, model, label, settings)
    for group in by_calendar(panel):
        yield from ask(group, divided.of(group), entities=True)
    for share in divided.mixed:
        yield from ask(share.panel, [share], entities=False)


def _calendars(panel: Panel) -> dict[str, int]:
    """Return the number of series of each calendar."""
    often_A = np.bincount(panel.axis_N, minlength=len(panel.axes)).tolist()
    count: Counter[str] = Counter()
    for axis, often in zip(panel.axes, often_A, strict=True):
        count[str(axis.calendar)] += often
    return count


def _calendar(
    model: TargetModel,
    label: str,
    settings: Settings,
    panel: Panel,
    shares: Sequence[Share],
    *,
    entities: bool,
) -> Iterator[Scored]:
    """Yield the rows of a panel of one calendar and of portfolios of its series. entities: rows of the series too."""
    fitted = (
        model.fitted(panel, label) if isinstance(model, Fitting) else model
    )  # to the whole, not to slices
    ask = partial(
        fitted.forecast, label=label, horizon=settings.horizon, paths=settings.paths, seed=settings.seed
    )
    sums = [PortfolioSum(share.holdings, panel.entities) for share in shares]

    def answer(piece: Panel) -> tuple[Panel, PathForecast, np.ndarray, pa.Table | None]:
        forecast = ask(piece)
        known_N = np.isfinite(last_values(piece, label, model.looks_back).value_NK).sum(axis=1)
        if not entities:
            return piece, forecast, known_N, None
        rows = target_rows(
            forecast,
            piece.entities,
            label,
            model.name,
            times_ahead(piece, settings.horizon),
            var_limit=settings.var_limit,
            drawn=model.drawn,
            known_N=known_N,
        )
        return piece, forecast, known_N, rows

    chunk = min(settings.chunk, max(MOST_VALUES // (settings.paths * settings.horizon), 1))
    answers = (
        _ahead_of_need(answer, _slices(panel, chunk))
        if len(panel.entities) > chunk
        else map(answer, _slices(panel, chunk))  # threads for one slice would cost more than it
    )
    for piece, forecast, known_N, rows in answers:
        for one in sums:
            one.add(forecast, piece.entities, known_N)
        if rows is not None:
            refused_N = np.isnan(forecast.path_SNH[0, :, 0])
            few = int(((known_N < FEWEST) & ~refused_N).sum())
            yield Scored(rows, _without(piece.entities, refused_N, forecast.reason_N, label), few)
    time_H = times_ahead(panel, settings.horizon).max(axis=0)
    for share, one in zip(shares, sums, strict=True):
        whole = one.forecast()
        if whole is not None:
            refused_P = np.isnan(whole.path_SNH[0, :, 0])
            aside = _without(one.names, refused_P, whole.reason_N, label, kind=PORTFOLIO)
            rows = target_rows(
                whole,
                one.names,
                label,
                model.name,
                time_H,
                kind=PORTFOLIO,
                var_limit=settings.var_limit,
                drawn=model.drawn,
                known_N=one.least_P,
            )
            yield Scored(rows, aside, portfolios=dict.fromkeys(one.names, str(share.calendar)))


def _event(loaded: Loaded, event: tuple[EventModel, int], label: str, settings: Settings) -> Iterator[Scored]:
    model, horizon = event
    panel = loaded.panel_of(label)
    yield _not_asked(loaded.refused_by[label], label, model.name)
    if not panel.entities:
        return
    when = (horizon, next_times(panel.calendar_T[: panel.axis.known], horizon)[-1])
    forecasts = [model.forecast_event(piece) for piece in _slices(panel, settings.chunk)]
    # who is among the riskiest is known when all are
    marked_N = top_share(np.concatenate([one.pd_N for one in forecasts]), settings.alert_share)
    first = 0
    for piece, forecast in zip(_slices(panel, settings.chunk), forecasts, strict=True):
        last = first + len(piece.entities)
        yield _clients(model, piece, forecast, label, when, marked_N[first:last])
        first = last


def _clients(
    model: EventModel,
    piece: Panel,
    forecast: EventForecast,
    label: str,
    when: tuple[int, np.datetime64],
    marked_N: np.ndarray,
) -> Scored:
    rows = event_rows(forecast, piece.entities, label, model.name, when, marked_N, model.drivers(piece))
    return Scored(rows, _without(piece.entities, np.isnan(forecast.pd_N), forecast.reason_N, label))


def _ahead_of_need(ask: Callable[[Panel], T], pieces: Iterator[Panel]) -> Iterator[T]:
    """Yield the answers for slices in their order; each is asked for in a thread of its own, one for each core.

    Each computes on one core (score.py sees to that): many cores on one slice would wait for each other at every
    layer, for long where other programs have one of them, and the last bits of sums would depend on their number.
    """
    cores = min(len(os.sched_getaffinity(0)), MOST_THREADS)
    with one_thread_each(cores, "forecast") as pool:
        waiting: deque[Future[T]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(ask, piece))
            if len(waiting) > cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _slices(panel: Panel, chunk: int) -> Iterator[Panel]:
    """Yield a panel in slices that part no group; a job that is to stop does so between two of them."""
    for members in progress(slices(panel, chunk), "slices", total=-(-len(panel.entities) // chunk)):
        check()
        yield members


def _not_asked(
    refused: Mapping[str, tuple[str, str]],
    label: str,
    model: str,
    calendars: Mapping[str, int] | None = None,
) -> Scored:
    """Return the rows of entities that were refused before a model was asked."""
    aside = tuple(Refused(ENTITY, name, label, *reason) for name, reason in refused.items())
    rows = refused_rows(list(refused), [code for code, _ in refused.values()], label, model)
    return Scored(rows, aside, calendars=calendars or {})


def _without(
    names: Sequence[str], refused_N: np.ndarray, reason_N: Sequence[str], label: str, kind: str = ENTITY
) -> tuple[Refused, ...]:
    """Return those to whom the model gives no forecast."""
    return tuple(
        Refused(kind, names[n], label, reason_N[n], SERIES.sentence(reason_N[n], label=label))
        for n in np.flatnonzero(refused_N).tolist()
    )
