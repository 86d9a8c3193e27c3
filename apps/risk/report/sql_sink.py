"""Scores of one as-of date in a SQL table: all of them or none, and the same table after a second run."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from apps.risk.data.sql import open_engine, parse_url, show, told
from apps.risk.report.partition import Layout
from core.errors import InputError

AS_OF = "as_of"
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
    url: str, table: str, as_of: datetime.date, layout: Layout, batches: Iterable[pa.RecordBatch]
) -> int:
    """Let a table (`schema.table` too) hold exactly these rows of a date, and return how many there are.

    The table is made where there is none, with the primary key (as_of, *layout.key). One transaction: new rows are
    inserted, changed ones updated, those of the date that are no longer there deleted, equal ones not touched;
    columns that the table has besides are kept. Writers of one date wait for each other. NaN and null become NULL.
    Raises InputError, without credentials: sql_unreachable for an outage (nothing was written, try again),
    sql_schema for a table of other columns, sql_failed for what the database refuses.
    """
    address = parse_url(url)
    engine = _engine(address)
    try:
        with engine.begin() as connection:
            return _replace(connection, _table(table, layout), as_of, layout, batches, show(address))
    except SQLAlchemyError as error:
        if isinstance(error, OperationalError) or getattr(error, "connection_invalidated", False):
            raise InputError(
                "sql_unreachable",
                f"{show(address)} failed while {table} was written, which is as it was: {told(error, address)}",
            ) from None
        raise InputError(
            "sql_failed", f"{show(address)} refuses the scores for {table}: {told(error, address)}"
        ) from None
    finally:
        engine.dispose()


def _engine(address: URL) -> sa.Engine:
    if address.get_backend_name() not in _INSERTS:
        raise InputError(
            "sql_driver", f"scores are not written to {address.drivername}: wanted sqlite or postgresql"
        )
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
    columns = [sa.Column(AS_OF, sa.Date(), primary_key=True, autoincrement=False)]
    for field in layout.schema:
        in_key = field.name in layout.key
        columns.append(
            sa.Column(
                field.name, _sql_type(field), primary_key=in_key, autoincrement=False, nullable=not in_key
            )
        )
    return sa.Table(plain, sa.MetaData(), *columns, schema=schema or None)


def _sql_type(field: pa.Field) -> sa.types.TypeEngine:
    for is_type, found in _TYPES:
        if is_type(field.type):
            zoned = pa.types.is_timestamp(field.type) and field.type.tz is not None
            return sa.DateTime(timezone=True) if zoned else found
    raise InputError("sql_schema", f"column {field.name} is of type {field.type}, which SQL has not")


def _replace(
    connection: sa.Connection,
    table: sa.Table,
    as_of: datetime.date,
    layout: Layout,
    batches: Iterable[pa.RecordBatch],
    shown: str,
) -> int:
    _make(connection, table, layout, shown)
    _lock(connection, f"{table.fullname} {as_of}")
    with _staged(connection, table) as staged:
        rows = 0
        for batch in batches:
            values = [{AS_OF: as_of, **_plain(row)} for row in batch.to_pylist()]
            if values:
                connection.execute(staged.insert(), values)
            rows += len(values)
        key = [AS_OF, *layout.key]
        same = sa.and_(*(table.c[name] == staged.c[name] for name in key))
        gone = sa.and_(table.c[AS_OF] == as_of, ~sa.exists().where(same))
        connection.execute(sa.delete(table).where(gone))
        connection.execute(_merge(table, staged, key, connection.dialect.name))
    return rows


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
    found = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
    missing = [name for name in table.columns.keys() if name not in found]  # noqa: SIM118
    if missing:
        raise InputError(
            "sql_schema",
            f"table {table.fullname} of {shown} has no column {', '.join(missing)}: add it, or name another table",
        )
    wanted = [AS_OF, *layout.key]
    primary = inspector.get_pk_constraint(table.name, schema=table.schema)["constrained_columns"]
    if sorted(primary) != sorted(wanted):
        raise InputError(
            "sql_schema",
            f"table {table.fullname} of {shown} has the primary key ({', '.join(primary)}): wanted "
            f"({', '.join(wanted)})",
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
