from __future__ import annotations

import ast
import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from core.errors import InternalFault
from core.runs.log import FIELDS, RunLog, key_path, pseudonym

ROOT = Path(__file__).resolve().parents[3]
UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.100000000000000000000000000001"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_events_are_lines_of_json(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        log.event("loaded", item=pseudonym(UID), seconds=1.5, count=3)
        log.event("step", loss=float("nan"), step=1, name="a/b.py:3")
    first, second = read(tmp_path / "log.jsonl")
    assert first.pop("time") > 1.7e9
    assert first == {"event": "loaded", "item": pseudonym(UID), "seconds": 1.5, "count": 3}
    assert (second["loss"], second["name"]) == (None, "a/b.py:3")


def test_an_old_log_goes_on(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLog(tmp_path / "log.jsonl") as log:
            log.event("started")
    assert len(read(tmp_path / "log.jsonl")) == 2


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log, pytest.raises(InternalFault, match="'patient' is not in"):
        log.event("loaded", patient="x")
    assert (tmp_path / "log.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "DOE^JANE"),
        ("name", "Jane Doe"),
        ("name", "肺"),
        ("name", UID),
        ("where", f"out/{UID}/seg.dcm"),
        ("name", ""),
        ("name", 3),
        ("route", "/items/{name}"),
        ("method", "GET /items"),
        ("request", "0123456789AB"),
        ("request", "patient-4711"),
        ("request", UID),
        ("frames", ["a.py:1", "two words"]),
        ("item", "not-a-pseudonym"),
        ("item", UID),
        ("count", "3"),
        ("count", [3]),
    ],
)
def test_a_value_that_could_tell_a_patient_is_refused(field: str, value: Any, tmp_path: Path) -> None:
    with (
        RunLog(tmp_path / "log.jsonl") as log,
        pytest.raises(InternalFault, match="got something else") as caught,
    ):
        log.event("loaded", **{field: value})
    assert str(value) not in caught.value.sentence or value in ("", 3, "3")
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_no_field_takes_free_text() -> None:
    assert set(FIELDS.values()) == {"number", "word", "words", "pseudonym", "request"}
    assert list(FIELDS) == sorted(FIELDS)


def test_a_pseudonym_is_short_stable_and_keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_LOG_KEY", "one")
    first = pseudonym(UID)
    # HMAC-SHA256 of RFC 2104; value from `printf %s UID | openssl dgst -sha256 -hmac one`, first 12 digits.
    assert first == "41b56deaf2ad"
    assert pseudonym(UID) == first
    assert pseudonym(UID + "1") != first
    monkeypatch.setenv("TRIPTYCH_LOG_KEY", "two")
    assert pseudonym(UID) != first


def test_the_key_is_kept_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first = pseudonym(UID)
    assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    assert len(key_path().read_bytes()) == 32
    assert pseudonym(UID) == first
    assert [x.name for x in key_path().parent.iterdir()] == ["log.key"]
    key_path().unlink()
    assert pseudonym(UID) != first


def _pseudonym_in(state: str) -> str:
    os.environ["XDG_STATE_HOME"] = state
    return pseudonym(UID)


@pytest.mark.slow
def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        result = pool.map(_pseudonym_in, [str(tmp_path)] * 6, chunksize=1)
    assert len(result) == 6
    assert len(set(result)) == 1


def test_without_a_place_for_the_key_it_lasts_for_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert pseudonym(UID) == pseudonym(UID)
    assert len(pseudonym(UID)) == 12


def test_each_field_is_written_somewhere() -> None:
    texts = [path.read_text("utf-8") for top in ("core", "apps") for path in (ROOT / top).rglob("*.py")]
    trees = [ast.parse(text) for text in texts if ".event(" in text]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    events = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "event"]
    fields = {keyword.arg for call in events for keyword in call.keywords if keyword.arg}
    counted = {"accepted", "skipped", "quarantined"}  # numbers of a stage, by their names
    assert len(events) > 20
    assert FIELDS.keys() - fields - counted == set()
