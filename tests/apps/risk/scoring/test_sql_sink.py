"""Scores in SQL: one transaction a date, on SQLite and on PostgreSQL where its server is installed."""

from __future__ import annotations

import datetime
import math
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.scoring.layout import Layout
from apps.risk.scoring.partition import read_batches
from apps.risk.scoring.sql_sink import upsert
from core.errors import InputError
from tests.apps.risk.postgres import PASSWORD, free_port
from tests.apps.risk.scoring.conftest import USER, run_sql
from tests.apps.risk.scoring.partitions import DATE, LAYOUT, write

OTHER = parse_as_of("2024-02-29")
Rows = list[tuple[Any, ...]]


def _batches(*rows: tuple[Any, ...]) -> list[pa.RecordBatch]:
    names = LAYOUT.schema.names
    return [
        pa.RecordBatch.from_pylist([dict(zip(names, row, strict=True))], schema=LAYOUT.schema) for row in rows
    ]


FIRST = _batches(("a", 1, 0.5, "ok"), ("a", 2, math.nan, None), ("b", 1, 2.5, "ok"))


def _rows(url: str, table: str = "scores") -> Rows:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        result = connection.execute(sa.text(f"select * from {table} order by as_of, entity, step"))
        rows = [(str(row.as_of), *row[3:]) for row in result]
    engine.dispose()
    return rows


def test_a_table_is_made_and_a_second_run_gives_the_same(url: str) -> None:
    assert upsert(url, "scores", "desk", DATE, LAYOUT, FIRST) == 3
    expected = [
        ("2024-01-31", "a", 1, 0.5, "ok"),
        ("2024-01-31", "a", 2, None, None),
        ("2024-01-31", "b", 1, 2.5, "ok"),
    ]
    assert _rows(url) == expected
    assert upsert(url, "scores", "desk", DATE, LAYOUT, FIRST) == 3
    assert _rows(url) == expected


def test_rows_are_changed_added_and_deleted_in_their_date_only(url: str) -> None:
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    upsert(url, "scores", "desk", OTHER, LAYOUT, FIRST)
    after = _batches(("a", 2, 9.0, None), ("b", 1, math.nan, "ok"), ("c", 1, 1.0, "ok"))
    assert upsert(url, "scores", "desk", DATE, LAYOUT, after) == 3
    assert _rows(url) == [
        ("2024-01-31", "a", 2, 9.0, None),
        ("2024-01-31", "b", 1, None, "ok"),
        ("2024-01-31", "c", 1, 1.0, "ok"),
        ("2024-02-29", "a", 1, 0.5, "ok"),
        ("2024-02-29", "a", 2, None, None),
        ("2024-02-29", "b", 1, 2.5, "ok"),
    ]
    assert upsert(url, "scores", "desk", DATE, LAYOUT, []) == 0
    assert {row[0] for row in _rows(url)} == {"2024-02-29"}


def test_equal_rows_are_not_touched_and_further_columns_stay(url: str) -> None:
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    run_sql(url, "alter table scores add note text", "update scores set note = 'seen'")
    if url.startswith("sqlite"):
        run_sql(
            url,
            "create table log (entity text)",
            "create trigger t after update on scores begin insert into log values (new.entity); end",
        )
    else:
        run_sql(url, "create table log as select entity, xmin::text as v from scores")
    upsert(url, "scores", "desk", DATE, LAYOUT, [*FIRST[:2], *_batches(("b", 1, 3.5, "ok"))])
    assert [row[3:] for row in _rows(url)] == [
        (0.5, "ok", "seen"),
        (None, None, "seen"),
        (3.5, "ok", "seen"),
    ]
    touched = (
        "log"
        if url.startswith("sqlite")
        else "scores where not exists (select from log where v = scores.xmin::text)"
    )
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert connection.execute(sa.text(f"select entity from {touched}")).scalars().all() == ["b"]
    engine.dispose()


def test_the_rows_of_a_partition_go_in_as_they_are(url: str, tmp_path: Path) -> None:
    folder = write(tmp_path, 30)
    assert upsert(url, "scores", "desk", DATE, LAYOUT, read_batches(folder, 7)) == 60
    table = pa.Table.from_batches(read_batches(folder)).to_pylist()
    assert _rows(url) == [("2024-01-31", *row.values()) for row in table]


def test_a_key_alone_and_dates_and_flags_are_columns_too(url: str) -> None:
    schema = pa.schema([("entity", pa.string()), ("step", pa.int64())])
    keys = pa.RecordBatch.from_pylist([{"entity": "a", "step": 1}], schema=schema)
    for _ in range(2):
        assert upsert(url, "scores", "desk", DATE, Layout(schema, ("entity", "step")), [keys]) == 1
    assert _rows(url) == [("2024-01-31", "a", 1)]
    run_sql(url, "drop table scores")
    when = datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC)
    row = {
        "entity": "a",
        "step": 1,
        "day": DATE.day,
        "alert": True,
        "at": when,
        "naive": when.replace(tzinfo=None),
    }
    schema = pa.schema(
        [
            *schema,
            ("day", pa.date32()),
            ("alert", pa.bool_()),
            ("at", pa.timestamp("us", tz="Asia/Tokyo")),
            ("naive", pa.timestamp("us")),
        ]
    )
    rows = [pa.RecordBatch.from_pylist([row], schema=schema)]
    for _ in range(2):
        assert upsert(url, "scores", "desk", DATE, Layout(schema, ("entity", "step")), rows) == 1
    row = _rows(url)[0]
    assert str(row[3]) == "2024-01-31"
    assert bool(row[4]) is True
    assert str(row[5]).startswith("2024-01-02 03:00:00")
    assert str(row[6]).startswith("2024-01-02 03:00:00")


def test_each_scoring_model_target_and_time_owns_its_rows(url: str) -> None:
    layout = Layout(
        pa.schema([(name, pa.string()) for name in ("entity", "target", "model")]),
        ("entity",),
        ("model", "target"),
    )

    def write_rows(scoring: str, time: str, rows: list[tuple[str, str, str]]) -> None:
        batch = [dict(zip(layout.schema.names, row, strict=True)) for row in rows]
        batches = [pa.RecordBatch.from_pylist(batch, schema=layout.schema)]
        upsert(url, "scores", scoring, parse_as_of(time, "Europe/Berlin"), layout, batches)

    first = [("a", "x", "m"), ("b", "x", "m")]
    write_rows("one", "2024-10-27", first)
    write_rows("two", "2024-10-27", [("c", "x", "m")])
    write_rows("one", "2024-10-27", [("a", "x", "n")])
    write_rows("one", "2024-10-27", [("a", "y", "m")])
    for hour in ("01:00+02:00", "02:00+02:00", "02:00+01:00"):
        write_rows("one", f"2024-10-27T{hour}", first)
    write_rows("one", "2024-10-27", [("b", "x", "m"), ("d", "x", "m")])  # a re-run: of its own, a is gone
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select * from scores order by 1, 2, 4, 6, 5")).all()
    engine.dispose()
    assert {str(row.as_of) for row in rows} == {"2024-10-27"}
    assert [(row.scoring, row.as_of_time[11:], row.entity, row.target, row.model) for row in rows] == [
        ("one", "01:00:00", "a", "x", "m"),
        ("one", "01:00:00", "b", "x", "m"),
        ("one", "02:00:00+01:00", "a", "x", "m"),
        ("one", "02:00:00+01:00", "b", "x", "m"),
        ("one", "02:00:00+02:00", "a", "x", "m"),
        ("one", "02:00:00+02:00", "b", "x", "m"),
        ("one", "23:59:59.999999", "a", "y", "m"),
        ("one", "23:59:59.999999", "a", "x", "n"),
        ("one", "23:59:59.999999", "b", "x", "m"),
        ("one", "23:59:59.999999", "d", "x", "m"),
        ("two", "23:59:59.999999", "c", "x", "m"),
    ]


def test_a_fault_in_mid_write_leaves_the_old_rows(url: str) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from _batches(("z", 1, 1.0, "ok"))
        raise RuntimeError("scorer died")

    with pytest.raises(RuntimeError, match="scorer died"):
        upsert(url, "scores", "desk", DATE, LAYOUT, broken())
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    before = _rows(url)
    with pytest.raises(RuntimeError, match="scorer died"):
        upsert(url, "scores", "desk", DATE, LAYOUT, broken())
    assert _rows(url) == before


def test_a_refusal_of_the_last_statement_leaves_the_old_rows(url: str) -> None:
    run_sql(
        url,
        "create table scores (scoring text, as_of_time text, as_of date, entity text, step bigint, "
        "var float check (var < 100), code text, primary key (scoring, as_of_time, entity, step))",
    )
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    before = _rows(url)
    assert (
        _refused(url, _batches(("a", 1, 1000.0, "ok"))).code == "sql_write_failed"
    )  # the others were deleted by then
    assert len(before) == 3
    assert _rows(url) == before


def test_a_second_writer_of_a_date_waits_and_then_wins_whole(url: str) -> None:
    one = _batches(*((f"a{number}", 1, 1.0, "one") for number in range(3)))
    two = _batches(*((f"a{number}", 1, 2.0, "two") for number in range(1, 5)))
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    inside, go_on = threading.Event(), threading.Event()
    faults: list[BaseException] = []

    def slow() -> Iterator[pa.RecordBatch]:
        yield one[0]
        inside.set()
        assert go_on.wait(60)
        yield from one[1:]

    def work(batches: Iterable[pa.RecordBatch]) -> None:
        try:
            upsert(url, "scores", "desk", DATE, LAYOUT, batches)
        except BaseException as error:
            faults.append(error)

    first, second = (threading.Thread(target=work, args=(batches,)) for batches in (slow(), two))
    first.start()
    assert inside.wait(60)
    second.start()
    second.join(0.5)
    assert second.is_alive()
    assert [row[1] for row in _rows(url)] == ["a", "a", "b"]  # a reader has the old rows meanwhile
    go_on.set()
    first.join()
    second.join()
    assert faults == []
    assert [row[1:] for row in _rows(url)] == [(f"a{number}", 1, 2.0, "two") for number in range(1, 5)]


def test_two_first_writers_at_once_leave_one_whole_result(url: str) -> None:
    sizes = (30, 40)
    faults: list[BaseException] = []
    together = threading.Barrier(2)

    def work(size: int) -> None:
        try:
            together.wait()
            rows = [(f"a{number}", 1, float(size), "ok") for number in range(size)]
            upsert(url, "scores", "desk", DATE, LAYOUT, _batches(*rows))
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(size,)) for size in sizes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    values = [row[3] for row in _rows(url)]
    assert values in ([30.0] * 30, [40.0] * 40)


def _refused(url: str, batches: Any, table: str = "scores") -> InputError:
    with pytest.raises(InputError) as caught:
        upsert(url, table, "desk", DATE, LAYOUT, batches)
    sentence = caught.value.sentence
    assert "\n" not in sentence
    assert PASSWORD not in sentence
    assert "s3cret" not in sentence
    assert USER not in sentence
    assert caught.value.__cause__ is None
    return caught.value


def test_an_outage_in_mid_write_leaves_the_old_rows(postgres: str) -> None:
    upsert(postgres, "scores", "desk", DATE, LAYOUT, FIRST)
    before = _rows(postgres)

    def outage() -> Iterator[pa.RecordBatch]:
        yield from _batches(("z", 1, 1.0, "ok"))
        run_sql(
            postgres,
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
            "and backend_type = 'client backend'",
        )
        yield from _batches(("z", 2, 1.0, "ok"))

    error = _refused(postgres, outage())
    assert error.code == "sql_write_interrupted"
    assert "failed while scores was written, which is as it was: " in error.sentence
    assert _rows(postgres) == before
    assert (
        upsert(postgres, "scores", "desk", DATE, LAYOUT, _batches(("z", 1, 1.0, "ok"))) == 1
    )  # the caller's retry
    assert len(_rows(postgres)) == 1
    run_sql(postgres, "drop table scores")


def test_a_server_that_is_down_is_reported_without_its_credentials() -> None:
    pytest.importorskip("psycopg", reason="writing PostgreSQL needs psycopg")
    port = free_port()
    address = URL.create("postgresql", USER, PASSWORD, "127.0.0.1", port, "db")
    error = _refused(address.render_as_string(hide_password=False), FIRST)
    assert error.code == "sql_write_interrupted"
    assert error.sentence.startswith(f"postgresql+psycopg://127.0.0.1:{port}/db failed while")


def test_a_sqlite_database_that_another_holds_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.risk.scoring.sql_sink.WAIT_S", 0.05)
    url = f"sqlite:///{tmp_path}/scores.db"
    upsert(url, "scores", "desk", DATE, LAYOUT, FIRST)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        error = _refused(url, FIRST)
    engine.dispose()
    assert error.code == "sql_write_interrupted"
    assert error.sentence.endswith("which is as it was: database is locked")


def test_what_cannot_take_the_scores_is_refused(url: str, tmp_path: Path) -> None:
    assert _refused("mysql://u:p@host/db", FIRST).sentence.endswith("wanted sqlite or postgresql")
    assert _refused("://", FIRST).code == "sql_url"
    assert _refused(f"sqlite:///{tmp_path}/none/scores.db", FIRST).code == "sql_write_interrupted"
    run_sql(url, "create table scores (as_of date, entity text, step bigint, primary key (as_of, entity))")
    error = _refused(url, FIRST)
    assert error.code == "sql_columns"
    assert "has no column scoring, as_of_time, var, code: add it" in error.sentence
    run_sql(
        url, *(f"alter table scores add {name} text" for name in ("scoring", "as_of_time", "var", "code"))
    )
    error = _refused(url, FIRST)
    assert error.code == "sql_key"
    assert error.sentence.endswith(
        "has the primary key (as_of, entity): wanted (scoring, as_of_time, entity, step)"
    )
    run_sql(url, "drop table scores")
    assert _refused(url, [*FIRST, FIRST[0]]).code == "sql_write_failed"
    lists = pa.schema([*LAYOUT.schema, ("path", pa.list_(pa.float64()))])
    with pytest.raises(InputError, match="column path is of type list<item: double>, which SQL has not"):
        upsert(url, "scores", "desk", DATE, Layout(lists, LAYOUT.key), [])
