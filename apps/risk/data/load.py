"""From the settings to a panel: read, judged, seen as of a date; what cannot be scored is named with its reason.

Legend: N entities, R rows.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from apps.risk.config import DataConfig
from apps.risk.data.as_of_time import AsOf, end_of_day, parse_as_of
from apps.risk.data.asof import as_of_doubtful, last_in_step, moments, view, wall_of, walls
from apps.risk.data.calendar_names import named_calendar
from apps.risk.data.columns import Columns, columns_from, read_columns
from apps.risk.data.contracts import Checked, check, refused_entities
from apps.risk.data.cross_section import outcomes_apart
from apps.risk.data.freshness import age_refusals, ages, require_fresh
from apps.risk.data.loan_book import generate_loan_book
from apps.risk.data.max_age import parse_max_age
from apps.risk.data.panel import Categories, Panel, build_panel, on_table_times, take
from apps.risk.data.refusals import refusals
from apps.risk.data.samples import Sample, load_sample
from apps.risk.data.sources import read_table
from apps.risk.reasons import OPTIONS, SERIES

Refused = Mapping[str, tuple[str, str]]  # entity → (code, sentence)
ROLES = tuple(field.name for field in dataclasses.fields(Columns))
BORROWERS = 2000  # of the generated loan book


@dataclass(frozen=True, eq=False)
class Loaded:
    """What is scored, and what is not.

    panel: entities of which at least one label can be forecast. refused: the others. everyone: both, to learn from.
    unseen: static → number of entities with a category that the given ones lack, and those categories.
    refused_by: of each label all entities that cannot be forecast by it, those of `refused` too. checked: rows set
    aside, among others. digest: SHA-256 of all that the panel held before entities were refused.
    """

    panel: Panel
    columns: Columns
    as_of: AsOf
    checked: Checked
    refused: Refused
    digest: str
    everyone: Panel
    refused_by: Mapping[str, Refused] = field(default_factory=dict)
    unseen: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def panel_of(self, label: str) -> Panel:
        """Return the entities that can be forecast by a label; of an event on the table's times, which all share."""
        panel = without(self.panel, self.refused_by.get(label, {}))
        return on_table_times(panel) if label == self.columns.event else panel


def load_panel(
    cfg: DataConfig,
    as_of: str | AsOf | None = None,
    categories: Categories | None = None,
    seed: int = 0,
    *,
    fresh: bool = False,
) -> Loaded:
    """Read a table or a sample as it was known at an instant.

    as_of: as `parse_as_of` takes it. None means the sample's own date (before what its publisher holds out; for the
    generated loan book the last month of which the outcome is known), else the last time at which a label became
    known, or the end of its day where no series has two times in a day; refused where it lies far after all others
    (asof.last_in_step): one mistyped year would move everything into the future.
    categories: those of the training, learned where it had none. seed: of the loan book. fresh: refuse
    series, and the whole table, whose newest value is too old (freshness). Raises ConfigError and
    InputError, in one line.
    """
    table, columns, usual = _read(cfg, seed)
    return load_table(table, columns, cfg, as_of if as_of is not None else usual, categories, fresh=fresh)


def load_table(
    table: pd.DataFrame,
    columns: Columns,
    cfg: DataConfig,
    as_of: str | AsOf | None = None,
    categories: Categories | None = None,
    *,
    fresh: bool = False,
) -> Loaded:
    """Return what `load_panel` returns, of a table that is read already. cfg: how it is judged; others as there."""
    named = named_calendar(cfg.calendar)
    if as_of is not None:
        now = as_of if isinstance(as_of, AsOf) else parse_as_of(as_of, columns.zone)
        checked = _judge(cfg, table, columns, _moment(now, columns))
    else:
        checked = _judge(cfg, table, columns, None)
        now = _last_of(checked, columns)
        if _any_after(checked.accepted, columns, _moment(now, columns)):
            checked = _judge(cfg, table, columns, _moment(now, columns))
    seen = view(checked.accepted, columns, _moment(now, columns))
    trained = categories or {}
    words = {name: trained.get(name) or tuple(seen[name].cat.categories) for name in columns.statics}
    panel = build_panel(seen, columns, _moment(now, columns), words, named)
    by_label = {
        name: event_refusals(panel, cfg.oldest)
        if name == columns.event
        else refusals(panel, oldest=cfg.oldest, label=name)
        for name in columns.labels
    }
    if fresh:
        by_age = {
            name: ages(panel, name, wall_of(_moment(now, columns), columns), parse_max_age(cfg.max_age))
            for name in columns.labels
        }
        require_fresh(by_age, now.text)
        by_label = {
            name: dict(sorted({**age_refusals(panel, name, by_age[name]), **refused}.items()))
            for name, refused in by_label.items()
        }
    first = by_label[columns.labels[0]]
    unscorable = {
        name: reason
        for name, reason in first.items()
        if all(name in refused for refused in by_label.values())
    }
    lost = refused_entities(checked, columns)
    return Loaded(
        panel=without(panel, unscorable),
        columns=columns,
        as_of=now,
        checked=checked,
        refused=dict(sorted({**lost, **unscorable}.items())),
        digest=panel_digest(panel),
        everyone=panel,
        refused_by={label: dict(sorted({**lost, **refused}.items())) for label, refused in by_label.items()},
        unseen=_unseen(seen, columns, trained),
    )


def configured_columns(cfg: DataConfig) -> Columns:
    """Return the columns of a table of one's own: those of the YAML file, each role given by name instead of it.

    An event named here is forecast alone, unless targets are named here or in the file. Raises ConfigError.
    """
    given = {role: getattr(cfg, role) for role in ROLES if getattr(cfg, role) is not None}
    if cfg.columns is None:
        return columns_from(given, where="data")
    content = dataclasses.asdict(read_columns(Path(cfg.columns)))
    if content["targets"] == Columns().targets and "event" in given:
        del content["targets"]
    return columns_from({**content, **given}, where="data")


def zone_of(cfg: DataConfig) -> str | None:
    """Return the time zone of a table's times, if one is named."""
    return None if cfg.sample is not None else configured_columns(cfg).zone


def known_since(checked: Checked, columns: Columns) -> np.ndarray:
    """Return when each row with a label became known; of all rows where none has one."""
    table = checked.accepted
    since_R = table[columns.known_at].to_numpy() if columns.known_at else moments(table, columns)
    labelled_R = np.any([~np.isnan(table[name].to_numpy()) for name in columns.labels], axis=0)
    return np.asarray(since_R[labelled_R] if labelled_R.any() else since_R)


def event_refusals(panel: Panel, oldest: int | None = None) -> dict[str, tuple[str, str]]:
    """Return entity → (code, sentence) of those whose event cannot be predicted, sorted by entity.

    An event of which nothing is known yet is no reason: the other columns tell of it. oldest: steps of the calendar
    by which the last row of an entity may lie before the last one of any; None allows all.
    """
    panel = on_table_times(panel)
    event_R = panel.value_RF[:, panel.columns.features.index(str(panel.columns.event))]
    last_N = panel.offset_N1[:-1] + np.maximum(panel.past_N, 1) - 1
    none_N = panel.past_N == 0
    step_N = np.where(none_N, -1, panel.step_R[last_N])
    age_N = step_N.max(initial=-1) - step_N
    holds = {
        "no_history": none_N,
        "event_happened": event_R[last_N] == 1.0,
        "stale": age_N > (len(panel.axis.slot_T) if oldest is None else oldest),
    }
    refused = {}
    for number in np.flatnonzero(np.any(list(holds.values()), axis=0)):
        code = next(code for code, holds_N in holds.items() if holds_N[number])
        sentence = SERIES.sentence(code, age=age_N[number], what="row", oldest=oldest)
        refused[panel.entities[number]] = (code, sentence)
    return refused


def without(panel: Panel, names: Refused) -> Panel:
    """Return the panel without some entities; the panel itself where none of them is in it."""
    if not names:
        return panel
    keep_N = np.array([name not in names for name in panel.entities], dtype=bool)
    return panel if keep_N.all() else take(panel, keep_N)


def panel_digest(panel: Panel) -> str:
    """Return the SHA-256 of all that a panel holds: names, roles, times, values, categories."""
    words = [panel.entities, dataclasses.asdict(panel.columns), dict(panel.categories)]
    state = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for array in (panel.offset_N1, panel.past_N, panel.instant_R, panel.wall_R):
        state.update(np.ascontiguousarray(array).view(np.int64).data)
    groups = () if panel.group_N is None else (panel.group_N,)
    for array in (panel.value_RF, panel.code_NS, panel.number_NM, *groups):
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def with_zone(table: pd.DataFrame, columns: Columns) -> Columns:
    """Return the columns with the zone of a typed time column, where none is named."""
    dtype = table[columns.time].dtype if columns.time in table else None
    if columns.zone is None and isinstance(dtype, pd.DatetimeTZDtype):
        return dataclasses.replace(columns, zone=str(dtype.tz))
    return columns


def _read(cfg: DataConfig, seed: int) -> tuple[pd.DataFrame, Columns, str | None]:
    """Return a table, its columns, and the as-of date that it has by itself."""
    if cfg.sample is not None:
        named = next(
            (
                name
                for name in ("table", "columns", "encoding", "outcome_after", *ROLES)
                if getattr(cfg, name) is not None
            ),
            None,
        )
        if named is not None:
            raise OPTIONS("sample_columns", option=named, sample=cfg.sample)
        sample = _loan_book(seed) if cfg.sample == "loan_book" else load_sample(cfg.sample)
        return sample.table, sample.columns, sample.as_of
    columns = configured_columns(cfg)
    table = read_table(str(cfg.path), columns, table=cfg.table, encoding=cfg.encoding)
    return table, with_zone(table, columns), None


def _loan_book(seed: int) -> Sample:
    book = generate_loan_book(borrowers=BORROWERS, seed=seed)
    last = book.truth.loc[book.truth["outcome"].notna(), "month"].max()
    return Sample(
        name="loan_book",
        table=book.table,
        columns=book.columns,
        about=f"generated loan book, {BORROWERS} borrowers over 36 months, with the true PD of each",
        source="generated (apps.risk.data.loan_book)",
        licence="that of this repository",
        as_of=str(last.date()),
    )


def _moment(now: AsOf, columns: Columns) -> np.datetime64:
    """Return what `asof.moments` are compared with: the instant where the table's zone is known, else the wall time."""
    return now.wall if columns.zone is None or now.instant is None else now.instant


def _last_of(checked: Checked, columns: Columns) -> AsOf:
    """Return the last time at which a label became known, or the end of its day. Raises InputError, as_of_doubtful."""
    since_R = known_since(checked, columns)
    last, in_step = np.datetime64(since_R.max(), "us"), last_in_step(since_R)
    if in_step < last:
        raise as_of_doubtful(wall_of(last, columns), wall_of(in_step, columns))
    if not _within_days(checked.accepted, columns):
        return end_of_day(pd.Timestamp(wall_of(last, columns)).date(), columns.zone)
    return parse_as_of(f"{last}{'+00:00' if columns.zone else ''}", columns.zone)


def _within_days(table: pd.DataFrame, columns: Columns) -> bool:
    """Whether a series has two times in a day; the table is sorted by entity and time."""
    code_R, time_R = table[columns.entity].cat.codes.to_numpy(), table[columns.time].to_numpy()
    day_R = walls(table, columns).astype("datetime64[D]")
    return bool(((code_R[1:] == code_R[:-1]) & (day_R[1:] == day_R[:-1]) & (time_R[1:] != time_R[:-1])).any())


def _judge(cfg: DataConfig, table: pd.DataFrame, columns: Columns, as_of: np.datetime64 | None) -> Checked:
    checked = check(table, columns, as_of, cfg.bound)
    return (
        checked if cfg.outcome_after is None else outcomes_apart(checked, columns, cfg.outcome_after, as_of)
    )


def _unseen(
    seen: pd.DataFrame, columns: Columns, trained: Categories
) -> dict[str, tuple[int, tuple[str, ...]]]:
    unseen = {}
    for name in columns.statics:
        words = tuple(word for word in seen[name].cat.categories if word not in trained.get(name, (word,)))
        if words:
            unseen[name] = (int(seen.loc[seen[name].isin(words), columns.entity].nunique()), words)
    return unseen


def _any_after(table: pd.DataFrame, columns: Columns, moment: np.datetime64) -> bool:
    later = (moments(table, columns) > moment).any()
    return bool(later or (columns.known_at and (table[columns.known_at] > moment).any()))
