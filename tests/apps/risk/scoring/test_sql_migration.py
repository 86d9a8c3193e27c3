"""A table of the old layout is refused with the statements that migrate it, and they work as they stand."""

from __future__ import annotations

import sqlite3

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from apps.risk.scoring.sql_sink import upsert
from core.errors import InputError
from tests.apps.risk.scoring.conftest import run_sql
from tests.apps.risk.scoring.partitions import DATE, LAYOUT

COLUMNS = "as_of date, entity text, step bigint, var float, code text, note text"
OLD = (
    f"create table {{}} ({COLUMNS}, primary key (as_of, entity, step))",
    "insert into {} values ('2024-01-31', 'a', 1, 0.5, 'ok', 'seen'), ('2024-01-30', 'b', 2, null, null, null)",
)


def _sentence(url: str, table: str, code: str = "sql_old_layout") -> str:
    with pytest.raises(InputError) as caught:
        upsert(url, table, "desk", DATE, LAYOUT, [])
    assert caught.value.code == code
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def _as_typed(url: str, script: str) -> None:
    """Run statements as a person pastes them into the database's own shell."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.executescript(script)
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(script)  # type: ignore[call-overload]


@pytest.mark.parametrize("table", ["scores", "Desk scores"])
def test_the_statements_in_the_refusal_migrate_the_table(url: str, table: str) -> None:
    run_sql(url, *(line.format(f'"{table}"') for line in OLD))
    sentence = _sentence(url, table)
    assert f"table {table} of " in sentence
    assert "is of the old layout, which keeps one scoring a date: run the following once" in sentence
    assert "score.name=earlier continues them" in sentence
    before = _sentence(url, table)
    assert before == sentence, "nothing was changed"
    _as_typed(url, sentence[sentence.index("BEGIN;") :])
    rows = [{"entity": "b", "step": 2, "var": 1.5, "code": "new"}]
    batch = pa.RecordBatch.from_pylist(rows, schema=LAYOUT.schema)
    assert upsert(url, table, "desk", DATE, LAYOUT, [batch]) == 1
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        query = f'select scoring, as_of_time, as_of, entity, step, var, code from "{table}" order by 1, 2'
        rows = [(row[0], row[1], str(row[2]), *row[3:]) for row in connection.execute(sa.text(query))]
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f'drop table "{table}"'))
    engine.dispose()
    assert rows == [
        ("desk", "2024-01-31T23:59:59.999999", "2024-01-31", "b", 2, 1.5, "new"),
        ("earlier", "2024-01-30T23:59:59.999999", "2024-01-30", "b", 2, None, None),
        ("earlier", "2024-01-31T23:59:59.999999", "2024-01-31", "a", 1, 0.5, "ok"),
    ]


def test_another_table_without_our_columns_is_no_old_layout(url: str) -> None:
    run_sql(url, "create table scores (as_of date, primary key (as_of))")
    assert "has no column scoring, as_of_time, entity, step, var, code: add it" in _sentence(
        url, "scores", "sql_columns"
    )
