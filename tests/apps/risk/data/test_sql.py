"""Tables from databases: SQLite, PostgreSQL where its server is installed, and errors that tell no secret."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.sql import read_sql, show
from core.errors import InputError

COLUMNS = Columns(entity="client", time="day", targets=("loss",), statics=("kind",), known_at="booked")
PASSWORD = "s3cret/+pass"
USER = "riskreader"


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/risk.db"
    _fill(url)
    return url


def _fill(url: str | URL) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for line in (
            "create table loans (client int, day date, loss numeric(9, 2), kind text, booked timestamp, more text)",
            "insert into loans values (1, '2024-01-31', 1.25, 'x', '2024-02-01 10:00:00', 'm')",
            "insert into loans values (1, '2024-02-29', null, 'x', null, 'm')",
            "insert into loans values (null, '2024-02-29', 3, null, null, 'm')",
            "create view recent as select * from loans where day > '2024-02-01'",
        ):
            connection.execute(sa.text(line))
    engine.dispose()


def _judge(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == list(COLUMNS.all)
    checked = check(frame, COLUMNS)
    assert checked.accepted["client"].tolist() == ["1", "1"]
    assert checked.accepted["day"].tolist() == [pd.Timestamp("2024-01-31"), pd.Timestamp("2024-02-29")]
    assert checked.accepted["booked"].tolist() == [
        pd.Timestamp("2024-02-01 10:00"),
        pd.Timestamp("2024-02-29"),
    ]
    assert checked.accepted["loss"].fillna(-1).tolist() == [1.25, -1.0]
    assert checked.rejected["code"].tolist() == ["entity_missing"]


def test_a_table_a_view_and_a_query_of_sqlite(sqlite: str) -> None:
    _judge(read_sql(sqlite, COLUMNS, table="loans"))
    assert len(read_sql(sqlite, COLUMNS, table="recent")) == 2
    _judge(read_sql(sqlite, COLUMNS, query="select client, day, booked, loss, kind from loans"))


def _refused(url: str, code: str, **where: str) -> str:
    with pytest.raises(InputError) as caught:
        read_sql(url, COLUMNS, **where)
    assert caught.value.code == code, caught.value.sentence
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def test_what_is_wrong_with_a_table_or_query_is_said(sqlite: str) -> None:
    assert _refused(sqlite, "table_missing", table="loan").endswith("no table 'loan': did you mean 'loans'?")
    assert _refused(sqlite, "table_missing", table="other.loans").endswith(
        "no schema 'other': there are main"
    )
    assert "needs either the name of a table or a query" in _refused(sqlite, "sql_table")
    assert "needs either" in _refused(sqlite, "sql_table", table="loans", query="select 1")
    assert "no such column: losss" in _refused(sqlite, "sql_failed", query="select losss from loans")
    assert "wanted a SELECT" in _refused(sqlite, "sql_failed", query="update loans set loss = 0")
    assert (
        len(read_sql(sqlite, COLUMNS, query="select * from loans where loss = 0")) == 0
    )  # nothing was written
    with pytest.raises(InputError, match="table loans has no column 'los': did you mean 'loss'"):
        read_sql(sqlite, Columns(entity="client", time="day", targets=("los",)), table="loans")


def test_a_misspelt_file_makes_no_database(tmp_path: Path) -> None:
    sentence = _refused(f"sqlite:///{tmp_path}/riks.db", "table_missing", table="loans")
    assert sentence.endswith("cannot be read: No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "risk.db").write_text("client,day\n" * 100)
    sentence = _refused(f"sqlite:///{tmp_path}/risk.db", "sql_failed", table="loans")
    assert "file is not a database" in sentence


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        (f"nosuch://{USER}:{PASSWORD}@host/db", "sql_driver", "nosuch is no kind of database known here"),
        (
            f"oracle://{USER}:{PASSWORD}@host/db",
            "sql_driver",
            "reading oracle needs the package oracledb: install it",
        ),
        (f"://{USER}:{PASSWORD}@host", "sql_url", "the database's URL cannot be read"),
        (f"postgresql://{USER}:{PASSWORD}@host:x/db", "sql_url", "the database's URL cannot be read"),
    ],
)
def test_a_url_of_no_database_tells_no_secret(url: str, code: str, said: str) -> None:
    sentence = _refused(url, code, table="loans")
    assert said in sentence
    _no_secret(sentence)


def _no_secret(text: str) -> None:
    assert PASSWORD not in text
    assert USER not in text
    assert "s3cret" not in text


def test_a_url_is_shown_without_user_password_and_options() -> None:
    url = sa.make_url(
        f"postgresql+psycopg://{USER}:{PASSWORD.replace('/', '%2F')}@host:5/db?sslpassword=s3cret"
    )
    assert show(url) == "postgresql+psycopg://host:5/db"


def test_a_database_that_is_down_tells_no_secret() -> None:
    pytest.importorskip("psycopg", reason="reading PostgreSQL needs psycopg")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = _url(port).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", table="loans")
    assert sentence.startswith(
        f"postgresql+psycopg://127.0.0.1:{port}/postgres does not answer: connection failed"
    )
    _no_secret(sentence)


def _url(port: int, password: str = PASSWORD) -> URL:
    return URL.create("postgresql", USER, password, "127.0.0.1", port, "postgres")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL server with one user; the server refuses to run as root."""
    pytest.importorskip("psycopg", reason="reading PostgreSQL needs psycopg")
    if shutil.which("initdb") is None or shutil.which("postgres") is None:
        pytest.skip("no PostgreSQL server is installed")
    folder = Path(tempfile.mkdtemp(prefix="risk-postgres-"))
    owner = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, folder / "password"):
            os.chown(path, pwd.getpwnam(owner).pw_uid, -1)
    port = _free_port()
    common = (
        {"user": owner, "cwd": folder, "capture_output": True}
        if os.getuid() == 0
        else {"capture_output": True}
    )
    data = folder / "data"
    subprocess.run(
        ["initdb", "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={folder}/password", "--no-sync"],
        check=True,
        **common,
    )
    settings = f"-F -c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    control = ["pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", settings, "start"], check=True, **{**common, "capture_output": False})
    try:
        yield port
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **common)
        shutil.rmtree(folder)


def test_a_table_a_view_and_a_query_of_postgresql(postgres: int) -> None:
    url = _url(postgres)
    _fill(url)
    text = url.render_as_string(hide_password=False)
    _judge(read_sql(text, COLUMNS, table="loans"))
    _judge(read_sql(text, COLUMNS, table="public.loans"))
    assert len(read_sql(text, COLUMNS, table="recent")) == 2
    _judge(
        read_sql(
            text.replace("postgresql:", "postgres:"),
            COLUMNS,
            query="select client, day, booked, loss, kind from loans",
        )
    )
    assert "did you mean 'loans'?" in _refused(text, "table_missing", table="loan")
    assert 'column "losss" does not exist' in _refused(text, "sql_failed", query="select losss from loans")


def test_a_database_that_goes_away_stops_in_one_line(postgres: int) -> None:
    url = _url(postgres).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", query="select pg_terminate_backend(pg_backend_pid())")
    assert "terminating connection" in sentence
    _no_secret(sentence)


def test_a_wrong_password_is_not_repeated(postgres: int) -> None:
    url = _url(postgres, "wr0ng" + PASSWORD).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", table="loans")
    assert "password authentication failed" in sentence
    _no_secret(sentence)


def test_times_with_a_zone_come_from_postgresql_as_instants(postgres: int) -> None:
    columns = Columns(zone="Europe/Berlin")
    query = "select 'a' as entity, timestamptz '2024-07-01 00:00+02' as time, 1.5 as target"
    frame = read_sql(_url(postgres).render_as_string(hide_password=False), columns, query=query)
    assert check(frame, columns).accepted["time"].tolist() == [pd.Timestamp("2024-07-01")]
