"""A long table out of a database, by SQLAlchemy; user names and passwords never reach a message."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, quote_plus

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from apps.risk.data.columns import Columns
from apps.risk.reasons import AWAITED, INPUTS
from core.text.nearest import did_you_mean

_BEFORE_SECRET, _AFTER_SECRET = r"(?:(?<=[:=\"'])|(?<=//))", r"(?=[:@&;\"'\s]|$)"


def read_sql(
    url: str, columns: Columns, *, table: str | None = None, query: str | None = None
) -> pd.DataFrame:
    """Read the declared columns of a table or view (`schema.table` too), or what a query returns.

    Raises InputError for a URL that is none, a missing driver, a database that does not answer, a table that is
    not there, or a query that fails.
    """
    address = parse_url(url)
    shown = show(address)
    if (table is None) == (query is None):
        raise INPUTS("sql_table", database=shown)
    engine = _engine(address)
    try:
        with engine.connect() as connection:
            return _fetch(connection, columns, table, query, shown, address)
    except SQLAlchemyError as error:
        raise AWAITED("sql_unreachable", database=shown, cause=driver_message(error, address)) from None
    finally:
        engine.dispose()


def _fetch(
    connection: sa.Connection,
    columns: Columns,
    table: str | None,
    query: str | None,
    shown: str,
    address: URL,
) -> pd.DataFrame:
    try:
        asked = sa.text(query) if query is not None else _select(connection, columns, str(table), shown)
        result = connection.execute(asked)
        if not result.returns_rows:
            raise INPUTS("sql_no_rows", database=shown)
        rows = [tuple(row) for row in result]
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        raise INPUTS("sql_failed", database=shown, cause=driver_message(error, address)) from None
    # as objects first: pandas would make floats of ids beside a gap
    return pd.DataFrame(rows, columns=list(result.keys()), dtype=object).infer_objects()


def show(address: URL) -> str:
    """Return a URL without user, password and options; of these the name of a libpq service stays."""
    service = address.query.get("service")
    return URL.create(
        address.drivername,
        host=address.host,
        port=address.port,
        database=address.database,
        query={} if service is None else {"service": service},
    ).render_as_string()


def parse_url(url: str) -> URL:
    """Return the parts of a URL; raise InputError, without quoting it, where it is none."""
    try:
        address = sa.make_url(url)
    except (ArgumentError, ValueError):
        raise INPUTS("sql_url") from None
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    return address


def _engine(address: URL) -> sa.Engine:
    file = address.database
    if address.drivername.startswith("sqlite") and file and not file.startswith("file:"):
        try:
            with open(file, "rb"):  # SQLite would make an empty database of a misspelt name
                pass
        except OSError as error:
            raise AWAITED("sql_file", database=show(address), cause=error.strerror) from None
    return open_engine(address, "reading")


def open_engine(address: URL, doing: str, **options: Any) -> sa.Engine:
    """Return SQLAlchemy's engine; raise InputError for a database or a driver that is not there.

    doing: "reading" or "writing", for the sentence. options: as for sqlalchemy.create_engine.
    """
    try:
        return sa.create_engine(address, **options)
    except NoSuchModuleError:
        raise INPUTS("sql_unknown", driver=address.drivername) from None
    except ModuleNotFoundError as error:
        raise INPUTS("sql_driver", doing=doing, driver=address.drivername, package=error.name) from None


def _select(connection: sa.Connection, columns: Columns, table: str, shown: str) -> sa.Executable:
    schema, _, name = table.rpartition(".")
    inspector = sa.inspect(connection)
    if schema and schema not in inspector.get_schema_names():
        raise AWAITED(
            "sql_schema_missing",
            database=shown,
            schema=schema,
            hint=did_you_mean(schema, inspector.get_schema_names()),
        )
    if not inspector.has_table(name, schema=schema or None):
        tables = [*inspector.get_table_names(schema or None), *inspector.get_view_names(schema or None)]
        raise AWAITED("sql_table_missing", database=shown, table=table, hint=did_you_mean(name, tables))
    existing = [str(column["name"]) for column in inspector.get_columns(name, schema=schema or None)]
    columns.require(existing, f"table {table}")
    wanted: list[sa.ColumnClause[object]] = [sa.column(column) for column in columns.all]
    return sa.select(*wanted).select_from(sa.table(name, schema=schema or None))


def driver_message(error: SQLAlchemyError, address: URL) -> str:
    """Return the first line of what the driver said; what opens the database is struck out.

    User, password and values of options are masked where they stand as a whole: quoted, or as a part of a URL or of
    a connection string. A word of the sentence that contains or equals one of them stays.
    """
    cause = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = lines[0] if lines else type(cause).__name__
    secrets = [address.username, address.password, *map(str, address.query.values())]
    forms = {form for one in secrets if one for form in (str(one), quote(str(one)), quote_plus(str(one)))}
    for form in sorted(forms, key=len, reverse=True):
        text = re.sub(_BEFORE_SECRET + re.escape(form) + _AFTER_SECRET, "***", text)
    return text
