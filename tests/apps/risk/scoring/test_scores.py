"""Rows of the scores: each number where its column says, refusals, alerts, and how they pass the partition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from apps.risk.models.forecast import TAIL_LEVELS, EventForecast, PathForecast, Reason
from apps.risk.scoring.manifest import Facts
from apps.risk.scoring.partition import Partition, read_batches
from apps.risk.scoring.scores import (
    COLUMNS,
    ERRORS,
    FEW,
    FEWEST,
    LAYOUT,
    LEVELS,
    QUANTILES,
    SHORTFALLS,
    UNITS,
    VARS,
    event_rows,
    refused_rows,
    target_rows,
    top_share,
)
from tests.apps.risk.scoring.partitions import DATE

TIME_H = np.array(["2024-01-02", "2024-01-03"], dtype="datetime64[us]")


def forecast() -> PathForecast:
    """1000 paths of three entities over two steps: 1 … 1000 and twice as much, refused, a fallback."""
    one_S = np.arange(1.0, 1001.0)
    path_SNH = np.stack([np.stack([one_S, 2 * one_S], axis=1), np.full((1000, 2), np.nan)], axis=1)
    path_SNH = np.concatenate([path_SNH, -path_SNH[:, :1]], axis=1)
    return PathForecast(path_SNH, ("", "too_short", "no_convergence"))


def rows_of(table: pa.Table) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = table.to_pylist()
    return rows


def test_every_column_has_a_unit_and_a_sentence() -> None:
    assert list(UNITS) == LAYOUT.schema.names == list(COLUMNS)
    assert all(column.about for column in COLUMNS.values())
    assert QUANTILES[:3] == ("q_005", "q_010", "q_025")
    assert (VARS, SHORTFALLS) == (("var_010", "var_025", "var_050"), ("es_010", "es_025", "es_050"))


def test_rows_of_a_target_hold_quantiles_of_the_step_and_tails_of_the_sum() -> None:
    rows = rows_of(target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H))
    assert [(row["entity"], row["step"]) for row in rows] == [
        ("a", 1),
        ("a", 2),
        ("b", 0),
        ("c", 1),
        ("c", 2),
    ]
    first, second, refused, fallback, _ = rows
    assert [first[name] for name in QUANTILES] == [1000 * level for level in LEVELS]
    assert second["q_500"] == 1000.0, "twice 500"
    assert [second[name] for name in VARS] == [3 * 1000 * level for level in TAIL_LEVELS], "1x + 2x"
    assert first["es_010"] == 5.5, "mean of 1 … 10"
    assert second["es_050"] == 3 * 25.5
    assert str(second["time"]) == "2024-01-03 00:00:00"
    assert (first["kind"], first["target"], first["model"]) == ("entity", "gain", "m")
    assert (first["reason"], first["alert"], first["drivers"], first["pd"]) == ("", "", "", None)
    assert refused["reason"] == "too_short"
    assert (refused["time"], fallback["reason"], fallback["q_500"]) == (None, "no_convergence", -501.0)


def test_numbers_of_a_refusal_are_null_on_the_disk(tmp_path: Path) -> None:
    table = target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H)
    facts = Facts(DATE, "m", "d", UNITS, 2, {"too_short": 1}, {}, "i")
    with Partition(tmp_path, DATE, LAYOUT) as part:
        part.add(table)
        folder = part.finish(facts)
    (batch,) = read_batches(folder)
    (refused,) = [row for row in batch.to_pylist() if row["entity"] == "b"]
    assert {name for name, value in refused.items() if value is None} == {
        "time",
        "pd",
        "observations",
        *QUANTILES,
        *VARS,
        *SHORTFALLS,
        *ERRORS,
    }


def test_the_limit_marks_the_first_step_of_who_is_beyond_it() -> None:
    rows = rows_of(target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H, var_limit=990.0))
    assert [row["alert"] for row in rows] == ["", "", "", "var_limit", ""], "c: the 1 % VaR is -991"
    none = rows_of(target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H, var_limit=991.0))
    assert {row["alert"] for row in none} == {""}


def test_rows_of_an_event_tell_who_is_marked_and_why() -> None:
    result = EventForecast(np.array([0.3, np.nan]), ("", "all_missing"))
    reasons = [(Reason("status", 0.8), Reason("bill", 0.304)), ()]
    when = (12, np.datetime64("2025-01-31"))
    rows = rows_of(event_rows(result, ("x", "y"), "default", "m", when, np.array([True, False]), reasons))
    assert [(row["step"], row["reason"], row["alert"]) for row in rows] == [
        (12, "", "pd_top_share"),
        (0, "all_missing", ""),
    ]
    assert (rows[0]["pd"], rows[0]["drivers"]) == (0.3, "status +0.80; bill +0.30")
    assert (str(rows[0]["time"]), rows[1]["time"], rows[0]["q_500"]) == ("2025-01-31 00:00:00", None, None)


def test_who_was_never_asked_has_one_row_with_the_reason() -> None:
    rows = rows_of(refused_rows(("z",), ("constant",), "gain", "m"))
    filled = {name: value for name, value in rows[0].items() if value is not None}
    assert filled == {
        "kind": "entity",
        "entity": "z",
        "target": "gain",
        "step": 0,
        "model": "m",
        "reason": "constant",
        "note": "",
        "alert": "",
        "drivers": "",
    }


@pytest.mark.parametrize(
    ("share", "marked"),
    [(0.0, []), (0.25, [1]), (0.5, [1, 3]), (0.74, [1, 3]), (0.75, [0, 1, 3]), (1.0, [0, 1, 3, 4])],
)
def test_the_riskiest_share_is_rounded_down_and_the_first_of_equals_counts(
    share: float, marked: list[int]
) -> None:
    pd_N = np.array([0.1, 0.9, np.nan, 0.5, 0.1])
    assert list(np.flatnonzero(top_share(pd_N, share))) == marked


def test_a_tenth_of_thirty_is_three() -> None:
    assert top_share(np.linspace(0.0, 1.0, 30), 0.1).sum() == 3, "0.1 × 30 is 3.0000000000000004 or less"


def test_errors_of_simulation_are_of_drawn_paths_and_several_steps() -> None:
    for drawn in (False, True):
        rows = rows_of(target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H, drawn=drawn))
        errors = [[row[name] for name in ERRORS] for row in rows]
        assert errors[0] == [0.0] * 6, "each stratum once, whatever is drawn"
        zeros = np.array(errors[3:4] if drawn else errors[3:], dtype=np.float64)
        assert not zeros.any()
        assert not np.signbit(zeros).any(), "of losses, too, 0 is written as 0.0, not as -0.0"
        assert np.isnan(np.array(errors[2], dtype=np.float64)).all(), "refused"
        assert all((error > 0.0) is drawn for error in errors[1])  # type: ignore[operator]
    # three draws: one binomial standard deviation of the rank of 1 % of 1000; the sum is three times 1 … 1000
    assert errors[1][0] == 9.0


def test_few_observations_have_a_note_and_numbers() -> None:
    known_N = np.array([FEWEST, 50, FEWEST - 1])
    rows = rows_of(target_rows(forecast(), ("a", "b", "c"), "gain", "m", TIME_H, known_N=known_N))
    assert [(row["observations"], row["note"]) for row in rows] == [
        (100, ""),
        (100, ""),
        (None, ""),
        (99, FEW),
        (99, FEW),
    ]
    assert rows[3]["var_010"] is not None
