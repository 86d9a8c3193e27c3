"""All scores of one date, slice by slice: every entity in the output with numbers or with the reason why not.

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
from apps.risk.models.portfolio_calendars import SENTENCES, Share, divide
from apps.risk.models.portfolio_sum import PortfolioSum
from apps.risk.models.walking import Fitting
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


class SetAside(NamedTuple):
    """Who has no numbers for a label, and why."""

    kind: str
    name: str
    label: str
    code: str
    sentence: str


@dataclass
class Tally:
    """What became of all. aside: in the order of the work. alerts: rows by code. few: series of few observations.

    calendars: series by calendar, of the targets. portfolios: of each portfolio the calendar on which it is summed.
    """

    aside: list[SetAside] = field(default_factory=list)
    alerts: Counter[str] = field(default_factory=Counter)
    few: int = 0
    calendars: Counter[str] = field(default_factory=Counter)
    portfolios: dict[str, str] = field(default_factory=dict)

    def count_calendars(self, panel: Panel) -> None:
        """Count the series of each calendar."""
        often_A = np.bincount(panel.axis_N, minlength=len(panel.axes)).tolist()
        for axis, often in zip(panel.axes, often_A, strict=True):
            self.calendars[str(axis.calendar)] += often

    def refused(self, labels: int) -> dict[str, str]:
        """Return entity → code of the first label, for the entities that have no numbers for any label."""
        found: dict[str, list[str]] = {}
        for one in self.aside:
            if one.kind == ENTITY:
                found.setdefault(one.name, []).append(one.code)
        return {name: codes[0] for name, codes in found.items() if len(codes) == labels}


def score_rows(
    loaded: Loaded,
    targets: TargetModel | None,
    event: tuple[EventModel, int] | None,
    settings: Settings,
    holdings: Holdings | None,
    tally: Tally,
) -> Iterator[pa.Table]:
    """Yield the rows of all labels, a slice at a time; `tally` is filled on the way.

    targets: needed where the table has targets. event: model of the event and its horizon, likewise.
    """
    for label in loaded.columns.targets:
        if targets is not None:
            yield from _target(loaded, targets, label, settings, holdings, tally)
    if loaded.columns.event is not None and event is not None:
        yield from _event(loaded, event, loaded.columns.event, settings, tally)


def _target(
    loaded: Loaded,
    model: TargetModel,
    label: str,
    settings: Settings,
    holdings: Holdings | None,
    tally: Tally,
) -> Iterator[pa.Table]:
    panel = loaded.panel_of(label)
    yield _not_asked(loaded.refused_by[label], label, model.name, tally)
    if not panel.entities:
        return
    tally.count_calendars(panel)
    divided = divide(panel, holdings)
    for names, code in divided.refused:
        tally.aside += [SetAside(PORTFOLIO, name, label, code, SENTENCES[code]) for name in names]
        yield refused_rows(names, [code] * len(names), label, model.name, PORTFOLIO)
    ask = partial(_calendar, model, label, settings, tally)
    for group in by_calendar(panel):
        yield from ask(group, divided.of(group), entities=True)
    for share in divided.mixed:
        yield from ask(share.panel, [share], entities=False)


def _calendar(
    model: TargetModel,
    label: str,
    settings: Settings,
    tally: Tally,
    panel: Panel,
    shares: Sequence[Share],
    *,
    entities: bool,
) -> Iterator[pa.Table]:
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
    for piece, forecast, known_N, rows in _ahead_of_need(answer, _slices(panel, chunk)):
        for one in sums:
            one.add(forecast, piece.entities, known_N)
        if rows is not None:
            refused_N = np.isnan(forecast.path_SNH[0, :, 0])
            tally.few += int(((known_N < FEWEST) & ~refused_N).sum())
            _note(piece.entities, refused_N, forecast.reason_N, label, tally)
            yield _counted(rows, tally)
    time_H = times_ahead(panel, settings.horizon).max(axis=0)
    for share, one in zip(shares, sums, strict=True):
        whole = one.forecast()
        if whole is not None:
            tally.portfolios |= dict.fromkeys(one.names, str(share.calendar))
            refused_P = np.isnan(whole.path_SNH[0, :, 0])
            _note(one.names, refused_P, whole.reason_N, label, tally, kind=PORTFOLIO)
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
            yield _counted(rows, tally)


def _event(
    loaded: Loaded, event: tuple[EventModel, int], label: str, settings: Settings, tally: Tally
) -> Iterator[pa.Table]:
    model, horizon = event
    panel = loaded.panel_of(label)
    yield _not_asked(loaded.refused_by[label], label, model.name, tally)
    if not panel.entities:
        return
    when = (horizon, next_times(panel.calendar_T[: panel.axis.known], horizon)[-1])
    told = [model.forecast_event(piece) for piece in _slices(panel, settings.chunk)]
    # who is among the riskiest is known when all are
    marked_N = top_share(np.concatenate([one.pd_N for one in told]), settings.alert_share)
    first = 0
    for piece, forecast in zip(_slices(panel, settings.chunk), told, strict=True):
        last = first + len(piece.entities)
        rows = _clients(model, piece, forecast, label, when, marked_N[first:last], tally)
        yield _counted(rows, tally)
        first = last


def _clients(
    model: EventModel,
    piece: Panel,
    forecast: EventForecast,
    label: str,
    when: tuple[int, np.datetime64],
    marked_N: np.ndarray,
    tally: Tally,
) -> pa.Table:
    _note(piece.entities, np.isnan(forecast.pd_N), forecast.reason_N, label, tally)
    return event_rows(forecast, piece.entities, label, model.name, when, marked_N, model.drivers(piece))


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


def _not_asked(refused: Mapping[str, tuple[str, str]], label: str, model: str, tally: Tally) -> pa.Table:
    tally.aside += [SetAside(ENTITY, name, label, *told) for name, told in refused.items()]
    return refused_rows(list(refused), [code for code, _ in refused.values()], label, model)


def _note(
    names: Sequence[str],
    refused_N: np.ndarray,
    reason_N: Sequence[str],
    label: str,
    tally: Tally,
    kind: str = ENTITY,
) -> None:
    for n in np.flatnonzero(refused_N).tolist():
        sentence = f"the model gives no forecast of {label}: {reason_N[n]}"
        tally.aside.append(SetAside(kind, names[n], label, reason_N[n], sentence))


def _counted(rows: pa.Table, tally: Tally) -> pa.Table:
    for entry in pc.value_counts(rows["alert"]).to_pylist():
        if entry["values"]:
            tally.alerts[entry["values"]] += entry["counts"]
    return rows
