"""The database of jobs: DBOS's own tables, and beside them ours for workers and schedules."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer
from sqlalchemy.dialects import postgresql, sqlite

from core.jobs.reasons import DATABASE, DATABASE_AWAY, DatabaseAway
from core.runs.files import make_folder
from core.runs.state import state_folder

APP = "triptych"  # owner of all rows, and their one version: waiting jobs outlive an upgrade of the program
BUSY_MS = 30_000  # how long a writer waits for another one of the same SQLite file

_tables = sa.MetaData()


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String, primary_key=True)


def _value(name: str, column_type: type[sa.types.TypeEngine[Any]] = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, column_type, nullable=False)


_WORKER = (_key("id"), _value("host"), _value("pid", sa.Integer), _value("started", sa.Float))
WORKERS = sa.Table("triptych_workers", _tables, *_WORKER, _value("beat", sa.Float))
_DUE = (
    _key("name"),
    _value("cron"),
    _value("zone"),
    _value("catch_up", sa.Integer),
    _value("through", sa.Float),
)
SCHEDULES = sa.Table(
    "triptych_schedules", _tables, *_DUE, _value("job"), _value("arguments"), _value("queue")
)
_SETTINGS = sa.Table("triptych_settings", _tables, _key("name"), _value("value"))


def database_url(database: str | None = None) -> str:
    """Return the URL of a database: as given (URL or SQLite file), else $TRIPTYCH_JOBS, else the user's own file."""
    given = database or os.environ.get("TRIPTYCH_JOBS") or str(state_folder() / "jobs.sqlite")
    return given if "://" in given else f"sqlite:///{Path(given).absolute()}"


class Store:
    """An open database, made when it is new; several processes may open it at once.

    Raises InputError for what is not a database, DatabaseAway for one that does not answer; no sentence shows a
    password.
    """

    def __init__(self, database: str | None = None) -> None:
        _quiet_dbos()
        self.url = database_url(database)
        url = _checked(self.url)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            make_folder(Path(str(url.database)).parent)
        self.location = url.database if self.is_sqlite else f"{url.host or 'this machine'}/{url.database}"
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)
        try:
            with self.engine.connect():
                pass  # a server that is not there fails here, at once; DBOS would try again for minutes
            DBOS.migrate(self.url)
            self._make_tables()
            self.secret = self._secret()
        except sa.exc.SQLAlchemyError as error:
            self.engine.dispose()
            raise self._away(error) from None
        self.client = DBOSClient(
            system_database_url=self.url,
            serializer=DBOSPortableJSONSerializer(),
            application_name=APP,
            retry_connection_errors=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self.client.destroy()
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what the database cannot do into DatabaseAway."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            raise self._away(error) from None

    @property
    def now(self) -> sa.ColumnElement[float]:
        """The database's own clock, in seconds since 1970: the one clock that all workers share."""
        text = "(julianday('now') - 2440587.5) * 86400.0"
        return sa.literal_column(
            text if self.is_sqlite else "extract(epoch from clock_timestamp())", sa.Float
        )

    def put(self, table: sa.Table, values: Mapping[str, Any], *, keep: bool = False) -> None:
        """Insert a row, or replace the one with its key; keep=True lets the one that is there stand."""
        insert = (sqlite.insert if self.is_sqlite else postgresql.insert)(table).values(**values)
        key = [column.name for column in table.primary_key]
        changed = {name: insert.excluded[name] for name in values if name not in key}
        with self.answering(), self.engine.begin() as connection:
            connection.execute(
                insert.on_conflict_do_nothing(index_elements=key)
                if keep
                else insert.on_conflict_do_update(index_elements=key, set_=changed)
            )

    def rows(self, query: sa.Select[Any]) -> list[sa.Row[Any]]:
        """Return the rows of a query."""
        with self.answering(), self.engine.connect() as connection:
            return list(connection.execute(query))

    def change(self, statement: sa.Update | sa.Delete) -> int:
        """Update or delete, and return the number of rows."""
        with self.answering(), self.engine.begin() as connection:
            return int(connection.execute(statement).rowcount)

    def _away(self, error: sa.exc.SQLAlchemyError) -> DatabaseAway:
        cause = type(getattr(error, "orig", None) or error).__name__
        return DATABASE_AWAY("jobs_database_away", position=self.location, cause=cause)

    def _make_tables(self) -> None:
        lock = "BEGIN IMMEDIATE" if self.is_sqlite else "SELECT pg_advisory_xact_lock(7302458)"
        with self.engine.begin() as connection:
            connection.exec_driver_sql(lock)  # of several processes one makes them, the others find them
            _tables.create_all(connection)

    def _secret(self) -> bytes:
        self.put(_SETTINGS, {"name": "secret", "value": secrets.token_hex(16)}, keep=True)
        return self.rows(sa.select(_SETTINGS.c.value))[0].value.encode("ascii")


def _checked(text: str) -> sa.URL:
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        url = sa.make_url("none://")
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database:
        raise DATABASE("jobs_database")
    return url


def _sqlite_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        # Readers do not wait for a writer, and a commit costs one fsync instead of three; the file remembers it.
        connection.execute("PRAGMA journal_mode=WAL")

    return engine


def _postgres_engine(url: sa.URL) -> sa.Engine:
    wait = {} if "connect_timeout" in url.query else {"connect_timeout": 5}
    engine = sa.create_engine(url.set(drivername="postgresql+psycopg"), connect_args=wait, pool_pre_ping=True)
    # DBOS makes a schema of its own; who may not write to "public" may write there.
    return engine.execution_options(schema_translate_map={None: "dbos"})


def _quiet_dbos() -> None:
    """Keep DBOS's log off the terminal: it quotes what failed, with its data. It adds no handler where one is."""
    logger = logging.getLogger("dbos")
    logger.handlers = [logging.NullHandler()]
    logger.propagate = False
