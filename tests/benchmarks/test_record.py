"""A record holds what was measured, on what, by which command; the newest of a theme is read back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.record import device_slug, measure, newest, peak_memory_mb, read_records

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
XEON = {"cpu": "Intel(R) Xeon(R) CPU @ 2.20GHz", "cores": 2, "gpus": []}


def test_a_record_holds_results_and_circumstances(tmp_path: Path) -> None:
    path = measure("a-theme", "python -m x", lambda: {"headline": {"n": "1"}, "n": 1}, tmp_path, NOON)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["results"] == {"n": 1}
    assert record["headline"] == {"n": "1"}
    assert record["command"] == "python -m x"
    assert record["time"] == "2026-05-04T12:00:00Z"
    assert record["device"]["cores"] >= 1
    assert record["versions"]["numpy"]
    assert record["seconds"] >= 0
    assert record["peak_memory_mb"] > 10
    assert path.name.startswith("a-theme_")
    assert "_2026-05-04_" in path.name


def test_the_same_day_and_commit_give_one_file(tmp_path: Path) -> None:
    first = measure("t", "x", lambda: {"n": 1}, tmp_path, NOON)
    second = measure("t", "x", lambda: {"n": 2}, tmp_path, NOON)
    assert first == second
    assert [record["results"] for record in read_records(tmp_path)] == [{"n": 2}]


def test_a_theme_is_one_word() -> None:
    with pytest.raises(ValueError, match="theme is 'Two words', wanted lower-case words joined by hyphens"):
        measure("Two words", "x", dict)


def test_records_come_oldest_first(tmp_path: Path) -> None:
    for day in (3, 1, 2):
        measure("t", "x", lambda day=day: {"day": day}, tmp_path, datetime(2026, 5, day, tzinfo=UTC))
    records = read_records(tmp_path)
    assert [record["results"]["day"] for record in records] == [1, 2, 3]
    assert (newest(records, "t") or {})["results"] == {"day": 3}
    assert newest(records, "other") is None


def test_a_device_is_one_word() -> None:
    assert device_slug(XEON) == "intel-xeon-2-cores"
    assert device_slug({**XEON, "gpus": ["NVIDIA H100 80GB"]}) == "nvidia-h100-80gb"
    assert device_slug({"cpu": None, "cores": 4, "gpus": []}) == "4-cores"


def test_memory_is_counted_in_megabytes() -> None:
    block = bytearray(200_000_000)
    block[::4096] = b"1" * len(block[::4096])
    assert 200 < peak_memory_mb() < 100_000
