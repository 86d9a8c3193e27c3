"""The scoring service as a client meets it: the numbers of the command, refusals, keys, and a model that dies."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.risk.data.loan_book import generate_loan_book
from apps.risk.models.risk_model import EMBEDDED
from core.serving.keys import new_key
from tests.apps.risk.score_inputs import config, go, model_folder, returns
from tests.apps.risk.service.served import code, service
from tests.core.serving.service import until

pytestmark = pytest.mark.slow
ROLES = {"entity": "asset", "time": "day", "targets": ["gain"]}
QUERY = {"entity": "asset", "time": "day", "targets": "gain", "horizon": "2"}
CSV, PARQUET = {"Content-Type": "text/csv"}, {"Content-Type": "application/vnd.apache.parquet"}


@pytest.fixture(scope="module")
def to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("service")
    with service(folder, model_folder(folder / "model"), rows=1000, cells=5000, body_mb=1) as client:
        yield client


def ask(to: httpx.Client, table: Any, **options: Any) -> httpx.Response:
    return to.post("/v1/scores", json={"table": table, "columns": ROLES, **options})


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return json.loads(table.to_json(orient="records"))


def parquet(table: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.to_parquet(stream)
    return stream.getvalue()


def numbers(text: str) -> list[str]:
    """The scores of an answer as they stand in it: byte for byte."""
    return re.findall(r"\{[^{}]*\}", text[text.index('"scores":') : text.index('"refused":')])


def of_command(folder: Path, table: pd.DataFrame, **words: Any) -> list[str]:
    """The rows of the command's files as the same JSON, byte for byte."""
    go(config(folder, table, **words), folder)
    [path] = (folder / "out" / "scores").glob("as_of=*")
    frame = pq.read_table(path, partitioning=None)
    rows = [{**row, "time": row["time"] and row["time"].isoformat()} for row in frame.to_pylist()]
    return [json.dumps(row, separators=(",", ":")) for row in rows]


def test_the_numbers_are_those_of_the_command_byte_for_byte(to: httpx.Client, tmp_path: Path) -> None:
    table = returns()
    table.loc[table["asset"] == "s001", "gain"] = 1.5
    held = tmp_path / "held.csv"
    held.write_text("portfolio,entity,weight\nhedged,s000,1\nhedged,s002,-0.5\n")
    wanted = of_command(tmp_path, table, score_portfolios=str(held), score_var_limit=0.01)
    assert len(wanted) == 9
    options = {"horizon": 2, "portfolios": {"hedged": {"s000": 1, "s002": -0.5}}, "var_limit": 0.01}
    lists = json.loads(table.to_json(orient="split"))
    columns = {name: [row[i] for row in lists["data"]] for i, name in enumerate(lists["columns"])}
    for answer in (ask(to, records(table), **options), ask(to, columns, **options)):
        assert answer.status_code == 200
        assert numbers(answer.text) == wanted
        assert [one["code"] for one in answer.json()["refused"]] == ["constant"]
        assert answer.json()["as_of"] == "2024-03-22"


def test_a_csv_and_a_parquet_file_give_the_same_bytes(to: httpx.Client, tmp_path: Path) -> None:
    table = returns()
    wanted = of_command(tmp_path, table)
    text = table.to_csv(index=False)
    for body, headers in (
        (text.encode(), CSV),
        (text.replace(",", ";").encode("utf-16"), CSV),
        (parquet(table), PARQUET),
    ):
        answer = to.post("/v1/scores", params=QUERY, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert numbers(answer.text) == wanted


def test_an_as_of_date_hides_what_came_later_and_columns_may_be_asked_for(to: httpx.Client) -> None:
    table = returns()
    early = ask(to, records(table), as_of="2024-02-29", horizon=1).json()
    cut = ask(to, records(table[table["day"] <= "2024-02-29"]), horizon=1, layout="columns").json()
    assert cut["scores"]["var_010"] == [row["var_010"] for row in early["scores"]]
    assert len(early["scores"]) == 5


def test_names_and_times_may_be_numbers_and_rows_that_cannot_be_used_are_listed(to: httpx.Client) -> None:
    table = records(returns())
    for row in table:
        row["asset"] = int(row["asset"][1:])
    table[5]["gain"] = "abc"
    table[6]["gain"] = True
    answer = ask(to, table, horizon=1).json()
    assert {row["entity"] for row in answer["scores"]} == {"0", "1", "2", "3", "equal_weights"}
    assert [(one["row"], one["code"]) for one in answer["rejected"]] == [
        (5, "not_a_number"),
        (6, "not_a_number"),
    ]
    seconds = [{"asset": "a", "day": 86400 * number, "gain": number % 7 / 7} for number in range(60)]
    unix = to.post(
        "/v1/scores", json={"table": seconds, "columns": {**ROLES, "time_format": "unix"}, "horizon": 1}
    )
    assert unix.json()["as_of"] == "1970-03-01"


GOOD = {"asset": "a", "day": "2024-01-01", "gain": 0.5}
FAULTS: list[tuple[Any, int, str]] = [
    ({}, 400, "field_missing"),
    ({"table": None}, 400, "field_missing"),
    ({"table": "x"}, 400, "table_form"),
    ({"table": [GOOD, 3]}, 400, "table_form"),
    ({"table": {"asset": ["a"], "day": [], "gain": [1]}}, 400, "table_form"),
    ({"table": []}, 400, "table_empty"),
    ({"table": {"asset": [], "day": [], "gain": []}}, 400, "table_empty"),
    ({"table": [{"asset": "a", "day": "2024-01-01"}]}, 400, "column_missing"),
    ({"table": [{**GOOD, "asset": ["a"]}]}, 400, "table_cell"),
    ({"table": [{**GOOD, "gain": {"a": 1}}]}, 400, "table_cell"),
    ({"table": [{**GOOD, "gain": "abc"}]}, 400, "nothing_left"),
    ({"table": [{**GOOD, "gain": 10**400}]}, 400, "nothing_left"),
    ({"table": [GOOD] * 1001}, 413, "table_too_large"),
    ({"table": [GOOD], "as_of": "soon"}, 400, "as_of_value"),
    ({"table": [GOOD], "as_of": "1999-12-31"}, 400, "as_of_before_data"),
    ({"table": [GOOD], "as_of": 20240101}, 400, "field_type"),
    ({"table": [GOOD], "horizon": 0}, 400, "config_range"),
    ({"table": [GOOD], "horizon": 1.5}, 400, "field_type"),
    ({"table": [GOOD], "calendar": "lunar"}, 400, "config_choice"),
    ({"table": [GOOD], "max_age": "old"}, 400, "max_age_value"),
    ({"table": [GOOD], "hrozion": 2}, 400, "field_unknown"),
    ({"table": [GOOD], "layout": "wide"}, 400, "field_type"),
    ({"table": [GOOD], "columns": {"what": "x"}}, 400, "role_unknown"),
    ({"table": [GOOD], "columns": {**ROLES, "zone": "Mars/Olympus"}}, 400, "config_zone"),
    ({"table": [GOOD], "columns": ["asset"]}, 400, "field_type"),
    (
        {"table": [{**GOOD, "gain": 0}], "columns": {**ROLES, "targets": [], "event": "gain"}},
        400,
        "model_unsuited",
    ),
    ({"table": [GOOD], "portfolios": {"p": {"a": "much"}}}, 400, "field_type"),
]


@pytest.mark.parametrize(("body", "status", "wanted"), FAULTS, ids=[str(fault[0])[:50] for fault in FAULTS])
def test_what_cannot_be_scored_has_its_status_and_one_sentence(
    to: httpx.Client, body: dict[str, Any], status: int, wanted: str
) -> None:
    answer = to.post("/v1/scores", json={"columns": ROLES, **body})
    assert code(answer) == (status, wanted)
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "param"}
    assert "\n" not in error["message"]
    assert "/tmp" not in error["message"], "no path of this machine"


MILLION = parquet(pd.DataFrame({"asset": ["a"] * 10**6, "day": "2024-01-01", "gain": 1.0}))
RAW: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", {"Content-Type": "application/json"}, 400, "body_not_json"),
    (b"[1]", {"Content-Type": "application/json"}, 400, "body_not_object"),
    ('{"table": []}'.encode("utf-16"), {"Content-Type": "application/json"}, 400, "body_not_utf8"),
    (b'{"table": [{"gain": NaN}]}', {"Content-Type": "application/json"}, 400, "body_nan"),
    (rb'{"table": [{"asset": "\ud800"}]}', {"Content-Type": "application/json"}, 400, "table_text"),
    (b"x" * 1_100_000, {"Content-Type": "application/json"}, 413, "body_too_large"),
    (b"<a/>", {"Content-Type": "text/xml"}, 415, "content_type"),
    (b"x", {}, 415, "content_type"),
    (
        gzip.compress(b"{}"),
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        415,
        "body_encoded",
    ),
    (b"", CSV, 400, "header_missing"),
    (b"asset,day,gain\n", CSV, 400, "table_empty"),
    (b"asset,day\na,2024-01-01\n", CSV, 400, "column_missing"),
    (b"asset,day,gain,gain\na,2024-01-01,1,2\n", CSV, 400, "column_doubled"),
    ("asset,day,gain\nMüller,2024-01-01,1\n".encode("latin-1"), CSV, 400, "table_encoding"),
    (gzip.compress(b"asset,day,gain\n"), CSV, 400, "table_encoding"),
    (b"PAR1 no parquet PAR1", PARQUET, 400, "table_unreadable"),
    (b"", PARQUET, 400, "table_unreadable"),
    (parquet(returns().rename(columns={"gain": "loss"})), PARQUET, 400, "column_missing"),
    # a kilobyte or so that stands for a million rows
    (
        parquet(pd.DataFrame({"asset": ["a"] * 10**6, "day": "2024-01-01", "gain": 1.0})),
        PARQUET,
        413,
        "table_too_large",
    ),
]


@pytest.mark.parametrize(
    ("body", "headers", "status", "wanted"), RAW, ids=[f"{n}-{fault[3]}" for n, fault in enumerate(RAW)]
)
def test_a_body_that_is_no_table_has_its_status(
    to: httpx.Client, body: bytes, headers: dict[str, str], status: int, wanted: str
) -> None:
    query = {} if "json" in headers.get("Content-Type", "") else QUERY
    assert code(to.post("/v1/scores", params=query, content=body, headers=headers)) == (status, wanted)


def test_an_address_takes_options_of_files_alone_and_each_once(to: httpx.Client) -> None:
    assert code(to.post("/v1/scores?horizon=2", json={"table": [GOOD]})) == (400, "options_in_address")
    twice = to.post("/v1/scores?horizon=2&horizon=3", content=b"a,b\n", headers=CSV)
    assert code(twice) == (400, "option_twice")
    unknown = to.post("/v1/scores?portfolios=x", content=b"a,b\n", headers=CSV)
    assert code(unknown) == (400, "field_unknown")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CELLS = st.fixed_dictionaries({}, optional=dict.fromkeys(GOOD, JSON_VALUES))
FIELDS = (
    "as_of",
    "horizon",
    "paths",
    "seed",
    "alert_share",
    "calendar",
    "max_age",
    "portfolios",
    "columns",
    "layout",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(CELLS, max_size=4) | JSON_VALUES,
    st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=2),
)
def test_no_json_is_a_fault_of_the_service(to: httpx.Client, table: Any, options: dict[str, Any]) -> None:
    typed = {"Content-Type": "application/json"}
    body = json.dumps({"columns": ROLES, "table": table, **options}).encode()
    answer = to.post("/v1/scores", content=body, headers=typed)
    assert answer.status_code in (200, 400, 413), answer.text
    assert set(answer.json()) in ({"error"}, set(answer.json()) | {"scores"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([CSV, PARQUET, {"Content-Type": "application/json"}]))
def test_no_bytes_are_a_fault_of_the_service(to: httpx.Client, body: bytes, headers: dict[str, str]) -> None:
    for content in (body, b"asset,day,gain\n" + body, parquet(returns().head(3))[:-8] + body):
        query = {} if "json" in headers["Content-Type"] else QUERY
        answer = to.post("/v1/scores", params=query, content=content, headers=headers)
        assert answer.status_code in (200, 400, 413), answer.text


def test_an_event_is_scored_by_the_columns_of_its_training(tmp_path: Path) -> None:
    book = generate_loan_book(borrowers=20, seed=0)
    with service(tmp_path, EMBEDDED / "loan_book") as to:
        about = to.get("/v1/model").json()
        assert (about["targets"], about["event"]["horizon"]) == (None, 12)
        assert about["columns"]["entity"] == "borrower"
        assert about["score_columns"]["pd"]["unit"] == "1"
        table = json.loads(book.table.to_json(orient="records", date_format="iso"))
        answer = to.post("/v1/scores", json={"table": table, "as_of": "2016-12-31"})
        scores = answer.json()["scores"]
    known = [row["pd"] for row in scores if row["pd"] is not None]
    assert len(known) > 5
    assert all(0.0 <= value <= 1.0 for value in known)


def test_a_model_that_dies_is_started_again_and_keys_are_asked_for(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    secrets = {role: new_key(keys, role, role) for role in ("read", "use")}
    with service(tmp_path, model_folder(tmp_path / "model"), keys=str(keys)) as to:
        assert ask(to, records(returns())).status_code == 401
        to.headers["X-API-Key"] = secrets["read"]
        assert ask(to, records(returns())).status_code == 403
        assert to.get("/v1/model").status_code == 200
        to.headers["X-API-Key"] = secrets["use"]
        before = ask(to, records(returns()), horizon=2)
        log = tmp_path / "run" / "log.jsonl"
        os.kill(_child(os.getpid()), signal.SIGKILL)
        until(lambda: "model_started" in log.read_text())
        after = ask(to, records(returns()), horizon=2)
    assert before.status_code == after.status_code == 200
    assert before.content == after.content
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["key"] for line in lines if line["event"] == "request" and line["status"] == 200] == [
        "read",
        "use",
        "use",
    ]


def _child(parent: int) -> int:
    """The newest process of a model below this one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"core.serving.model_child" in words and words[-2] == str(parent).encode():
                found.append(int(folder.name))
        except OSError:
            continue
    return max(found)
