"""The measurement of scoring, small: what it counts, that a kill leaves the same bytes, and faults in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.risk import scoring
from benchmarks.risk.scoring import one_series, run, same_files, table_of
from core.errors import InputError
from tests.apps.risk.score_inputs import model_folder


def test_a_small_measurement_from_end_to_end(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    record = run("30", "40", "1", "10", "2", "1", "20", str(folder))
    json.dumps(record, allow_nan=False)
    assert set(record["cost_by_series"]) == {"30", "10"}
    assert record["cost_by_series"]["30"]["scored"] == 30
    figures = record["runs"][0]
    assert 0 < figures["seconds_after_start_up"] < figures["seconds_whole"]
    assert figures["peak_memory_mb"] > 100
    killed = record["killed"]
    assert (killed["kills"], killed["torn_partitions"], killed["same_bytes"]) == (1, 0, True)
    assert record["one_series"]["model"] == "historical_simulation"


def test_one_series_is_timed_call_by_call(tmp_path: Path) -> None:
    figures = one_series(tmp_path, 40, str(model_folder(tmp_path / "model")), "champion", 5)
    p50 = figures["milliseconds_p50"]
    assert 0 < p50["low"] <= p50["value"] <= p50["high"]
    assert p50["value"] <= figures["milliseconds_p95"]
    assert figures["calls"] == 5


def test_a_table_is_made_once_and_the_same_again(tmp_path: Path) -> None:
    first = table_of(tmp_path, 12, 5)
    data = first.read_bytes()
    first.unlink()
    assert table_of(tmp_path, 12, 5).read_bytes() == data


def test_files_are_compared_by_name_and_byte(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("1")
    assert same_files(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "x").write_text("2")
    assert not same_files(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "x").write_text("1")
    (tmp_path / "b" / ".hidden").write_text("")
    assert not same_files(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("words", [{"series": "0"}, {"kills": "x"}, {"curve": "1,"}])
def test_a_size_that_is_none_is_reported(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="wanted a whole number above 0"):
        run(**words)


def test_a_command_that_fails_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ended with 2: triptych-risk: weights=nowhere cannot be read"):
        scoring.score(tmp_path, 2, 5, ["weights=nowhere"])
