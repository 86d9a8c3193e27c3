"""No look-ahead from the table to the bytes on the disk: what was known later changes none of them.

The models here make their numbers of a digest of all that they are shown, so that any trace of the future would show.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from apps.risk.data.columns import Columns
from apps.risk.data.load import panel_digest
from apps.risk.data.panel import Panel
from apps.risk.models.description import Description, EventPart
from apps.risk.models.forecast import EventForecast, PathForecast, Reason
from apps.risk.models.risk_model import RiskModel
from apps.risk.score import run
from core.errors import InputError
from core.runs.folder import Run
from tests.apps.risk.data import test_asof_no_look_ahead as worlds
from tests.apps.risk.score_inputs import config, files

TODAY = "2024-01-04"
COLUMNS = Columns(
    targets=("target",),
    event="event",
    observed=("seen",),
    known=("due",),
    statics=("kind",),
    static_numbers=("age",),
)
NAMES: dict[str, Any] = {
    "data_entity": "entity",
    "data_time": "time",
    "data_targets": "target",
    "data_event": "event",
    "data_observed": "seen",
    "data_known": "due",
    "data_statics": "kind",
    "data_static_numbers": "age",
    "data_max_rejected": 1.0,
}


class Looking:
    """Sees everything there is, and says so in its numbers."""

    name = "looking"
    looks_back, drawn = 4, False

    def _draw(self, panel: Panel) -> np.random.Generator:
        return np.random.default_rng(int(panel_digest(panel), 16))

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        path_SNH = self._draw(panel).normal(size=(paths, len(panel.entities), horizon))
        return PathForecast(path_SNH, tuple(f"{label}{seed}" for _ in panel.entities))

    def forecast_event(self, panel: Panel) -> EventForecast:
        return EventForecast(self._draw(panel).random(len(panel.entities)), ("",) * len(panel.entities))

    def drivers(self, panel: Panel) -> tuple[tuple[Reason, ...], ...]:
        return tuple((Reason(word, 1.0),) for word in panel.entities)


@pytest.fixture(scope="module", autouse=True)
def looking() -> Iterator[None]:
    described = Description(event=EventPart("looking", {}, 2, COLUMNS, {}))
    model = RiskModel(Looking(), Looking(), described, "digest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RiskModel, "from_pretrained", lambda *_, **__: model)
        yield


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """In memory where there is such a folder: the disk would be waited for at each of many files."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield folder
    record(folder).close()
    shutil.rmtree(folder)


@functools.cache
def record(folder: Path) -> Run:
    """One run folder for all: each would ask git for the commit."""
    return Run(folder / "run")


def output(folder: Path, rows: list[dict[str, Any]], **names: str) -> dict[str, str] | str:
    """Digests of all files that come out of a table as of TODAY; the line where none does."""
    table = pd.DataFrame(rows, columns=[*worlds.CONTENT, "time", "at"], dtype=object)
    shutil.rmtree(folder / "out", ignore_errors=True)
    cfg = config(folder, table, as_of=TODAY, score_chunk=2, model_horizon=1, **NAMES, **names)
    try:
        run(cfg, record(folder))
    except InputError as error:
        return error.sentence
    return files(folder / "out")


@settings(max_examples=30, deadline=None)
@given(
    early=worlds.rows,
    later=worlds.futures,
    other=worlds.futures,
    order=st.randoms(use_true_random=False),
)
def test_what_became_known_later_changes_no_byte_of_the_output(
    folder: Path, early: list[Any], later: list[Any], other: list[Any], order: Any
) -> None:
    now = [worlds._row(worlds.GOOD, (day, day)) for day in (1, 2)]
    now += [worlds._row(content, at) for content, at in early if not worlds._known_later(at)]
    outputs = []
    for future in (later, other):
        mixed = list(now)
        for content, at in future:
            mixed.insert(order.randint(0, len(mixed)), worlds._row(content, at))
        outputs.append(output(folder, mixed, data_known_at="at"))
    event(f"files: {isinstance(outputs[0], dict)}")
    assert outputs[0] == outputs[1]


@settings(max_examples=25, deadline=None)
@given(
    past=st.lists(st.tuples(st.fixed_dictionaries(worlds.CONTENT), st.integers(1, 4)), max_size=16),
    ahead=st.lists(st.tuples(*[st.fixed_dictionaries(worlds.CONTENT)] * 3, st.integers(5, 7)), max_size=12),
)
def test_without_known_at_only_plans_reach_the_output(
    folder: Path, past: list[Any], ahead: list[Any]
) -> None:
    outputs = []
    for world in (0, 1):
        rows = [worlds._row(worlds.GOOD, (1, None)), worlds._row(worlds.GOOD | {"target": 2.0}, (2, None))]
        rows += [worlds._row(content, (time, None)) for content, time in past]
        for plan, *futures, time in ahead:
            fixed = {"entity": plan["entity"], "due": plan["due"]}
            rows.append(worlds._row(futures[world] | fixed, (time, None)))
        if world:  # one of whom nobody has heard yet
            rows += [worlds._row(worlds.GOOD | {"entity": "new"}, (5, None))] * 2
        outputs.append(output(folder, rows))
    event(f"files: {isinstance(outputs[0], dict)}")
    assert outputs[0] == outputs[1]


def test_the_proof_can_fail(folder: Path) -> None:
    """One value that was known by then, and a plan: each changes the files."""
    rows = [worlds._row(worlds.GOOD | {"target": float(day)}, (day, None)) for day in (1, 2, 3)]
    plan = worlds._row({"entity": "a", "due": 7.0}, (6, None))
    outputs = [output(folder, [*rows, plan | changed]) for changed in ({}, {"due": 8.0}, {"target": 9.0})]
    moved = output(folder, [rows[0], rows[1] | {"target": 9.0}, rows[2], plan])
    assert outputs[0] == outputs[2] != outputs[1]
    assert all(isinstance(one, dict) for one in outputs)
    assert moved != outputs[0]
