"""Scores of one as-of time in a SQL table: all of them or none, and the same table after a second run.

Several scorings share a table: a row belongs to the scoring, as-of time and scope columns (model, target) that it
names, and a scoring replaces exactly what it owns.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from apps.risk.data.as_of_time import AsOf
from apps.risk.data.sql import driver_message, open_engine, parse_url, show
from apps.risk.reasons import INPUTS, INTERRUPTIONS
from apps.risk.scoring.layout import Layout
from apps.risk.scoring.sql_migration import OLD_SCORING, is_of_old_layout, migration

SCORING, AS_OF_TIME, AS_OF = "scoring", "as_of_time", "as_of"
WAIT_S = 60  # for another writer's transaction in SQLite
# Both write "on conflict" alike; Any, since SQLAlchemy has no common type for the two.
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_TYPES: tuple[tuple[Any, sa.types.TypeEngine], ...] = (
    (pa.types.is_string, sa.Text()),
    (pa.types.is_boolean, sa.Boolean()),
    (pa.types.is_integer, sa.BigInteger()),
    (pa.types.is_floating, sa.Double()),
    (pa.types.is_date, sa.Date()),
    (pa.types.is_timestamp, sa.DateTime()),
)


def upsert(
    url: str, table: str, scoring: str, as_of: AsOf, layout: Layout, batches: Iterable[pa.RecordBatch]
) -> int:
    """Let a table (`schema.table` too) hold exactly these rows of a scoring and as-of time; return how many there are.

    The table is made where there is none: `scoring`, `as_of_time` (ISO 8601, the last instant that counts), `as_of`
    (its date) and the layout's columns, with the primary key (scoring, as_of_time, *layout.scope, *layout.key). One
    transaction: new rows are inserted, changed ones updated, equal ones not touched. Rows of the same scoring, time
    and scope (model, target) that are no longer there are deleted, all others stand; columns that the table has
    besides are kept. Writers of one scoring and time wait for each other. NaN and null become NULL.
    Raises InputError, without credentials: sql_write_interrupted for an outage (nothing was written, try again),
    sql_old_layout (with the statements that migrate the table), sql_columns or sql_key for another table,
    sql_write_failed for what the database refuses.
    """
    owner = {SCORING: scoring, AS_OF_TIME: as_of.exact, AS_OF: as_of.day}
    address = parse_url(url)
    engine = _engine(address)
    try:
        with engine.begin() as connection:
            return _replace(connection, _table(table, layout), owner, layout, batches, show(address))
    except SQLAlchemyError as error:
        if isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False):
            raise INTERRUPTIONS(
                "sql_write_interrupted",
                database=show(address),
                table=table,
                cause=driver_message(error, address),
            ) from None
        raise INPUTS(
            "sql_write_failed", database=show(address), table=table, cause=driver_message(error, address)
        ) from None
    finally:
        engine.dispose()


def _engine(address: URL) -> sa.Engine:
    if address.get_backend_name() not in _INSERTS:
        raise INPUTS("sql_sink_unknown", driver=address.drivername)
    is_sqlite = address.get_backend_name() == "sqlite"
    engine = open_engine(address, "writing", connect_args={"timeout": WAIT_S} if is_sqlite else {})
    if is_sqlite:
        # Python's driver begins no transaction before DDL; ours has the lock from its first statement on.
        sa.event.listen(engine, "connect", _no_implicit_begin)
        sa.event.listen(engine, "begin", _begin_immediate)
    return engine


def _no_implicit_begin(connection: Any, _record: object) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _table(name: str, layout: Layout) -> sa.Table:
    schema, _, plain = name.rpartition(".")
    columns: list[sa.Column[Any]] = [
        sa.Column(SCORING, sa.Text(), primary_key=True),
        sa.Column(AS_OF_TIME, sa.Text(), primary_key=True),
        sa.Column(AS_OF, sa.Date(), nullable=False),
    ]
    for field in layout.schema:
        in_key = field.name in (*layout.scope, *layout.key)
        columns.append(
            sa.Column(
                field.name, _sql_type(field), primary_key=in_key, autoincrement=False, nullable=not in_key
            )
        )
    return sa.Table(plain, sa.MetaData(), *columns, schema=schema or None)


def _key(layout: Layout) -> list[str]:
    return list(dict.fromkeys([SCORING, AS_OF_TIME, *layout.scope, *layout.key]))


def _sql_type(field: pa.Field) -> sa.types.TypeEngine:
    for is_type, sql_type in _TYPES:
        if is_type(field.type):
            zoned = pa.types.is_timestamp(field.type) and field.type.tz is not None
            return sa.DateTime(timezone=True) if zoned else sql_type
    raise INPUTS("sql_type", column=field.name, type=field.type)


def _replace(
    connection: sa.Connection,
    table: sa.Table,
    owner: Mapping[str, Any],
    layout: Layout,
    batches: Iterable[pa.RecordBatch],
    shown: str,
) -> int:
    _make(connection, table, layout, shown)
    _lock(connection, f"{table.fullname} {owner[SCORING]} {owner[AS_OF_TIME]}")
    with _staged(connection, table) as staged:
        rows = 0
        for batch in batches:
            values = [{**owner, **_plain(row)} for row in batch.to_pylist()]
            if values:
                connection.execute(staged.insert(), values)
            rows += len(values)
        key = _key(layout)
        connection.execute(sa.delete(table).where(_gone(table, staged, owner, layout)))
        connection.execute(_merge(table, staged, key, connection.dialect.name))
    return rows


def _gone(
    table: sa.Table, staged: sa.Table, owner: Mapping[str, Any], layout: Layout
) -> sa.ColumnElement[bool]:
    """Say which rows of the scoring, time and scope are not among the staged ones."""

    def staged_with(names: Sequence[str]) -> sa.Exists:
        same = (table.c[name] == staged.c[name] for name in names)
        return sa.exists().where(*same, table.c[SCORING] == staged.c[SCORING])

    own = (table.c[name] == owner[name] for name in (SCORING, AS_OF_TIME))
    in_scope = staged_with(layout.scope) if layout.scope else sa.true()
    return sa.and_(*own, in_scope, ~staged_with(_key(layout)))


def _merge(table: sa.Table, staged: sa.Table, key: Sequence[str], dialect: str) -> sa.Executable:
    # "where true" since SQLite would read "on conflict" as the join's condition
    rows = sa.select(staged).where(sa.true())
    insert = _INSERTS[dialect](table).from_select(staged.columns.keys(), rows)
    others = [name for name in staged.columns.keys() if name not in key]  # noqa: SIM118
    if not others:
        return insert.on_conflict_do_nothing(index_elements=key)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=key,
        set_={name: new[name] for name in others},
        where=sa.or_(*(table.c[name].is_distinct_from(new[name]) for name in others)),
    )


def _make(connection: sa.Connection, table: sa.Table, layout: Layout, shown: str) -> None:
    """Make the table where there is none; refuse one that cannot take the rows."""
    if not sa.inspect(connection).has_table(table.name, schema=table.schema):
        _lock(connection, table.fullname)
        table.metadata.create_all(connection, checkfirst=True)
    inspector = sa.inspect(connection)
    present = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
    primary = inspector.get_pk_constraint(table.name, schema=table.schema)
    if is_of_old_layout(present, primary["constrained_columns"], layout.key):
        statements = migration(connection.dialect, table, _key(layout), present, primary["name"])
        raise INPUTS(
            "sql_old_layout",
            table=table.fullname,
            database=shown,
            scoring=OLD_SCORING,
            statements="; ".join(statements),
        )
    missing = [name for name in table.columns.keys() if name not in present]  # noqa: SIM118
    if missing:
        raise INPUTS("sql_columns", table=table.fullname, database=shown, columns=", ".join(missing))
    wanted = _key(layout)
    if sorted(primary["constrained_columns"]) != sorted(wanted):
        raise INPUTS(
            "sql_key",
            table=table.fullname,
            database=shown,
            key=", ".join(primary["constrained_columns"]),
            wanted=", ".join(wanted),
        )


def _lock(connection: sa.Connection, name: str) -> None:
    """Wait for other writers until the transaction ends; in SQLite the transaction itself is the lock."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


@contextmanager
def _staged(connection: sa.Connection, table: sa.Table) -> Iterator[sa.Table]:
    """Make a temporary table of the same columns; a failed transaction takes it along."""
    columns = [
        sa.Column(column.name, column.type, primary_key=column.primary_key) for column in table.columns
    ]
    staged = sa.Table("triptych_staged_scores", sa.MetaData(), *columns, prefixes=["TEMPORARY"])
    staged.create(connection, checkfirst=False)
    yield staged
    staged.drop(connection, checkfirst=False)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC)  # SQLite keeps no zone
    return value
