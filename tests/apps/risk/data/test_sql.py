"""Tables from databases: SQLite, PostgreSQL where its server is installed, and errors that tell no secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.sql import driver_message, read_sql, show
from core.errors import InputError
from tests.apps.risk.postgres import PASSWORD, free_port, postgres_server

COLUMNS = Columns(entity="client", time="day", targets=("loss",), statics=("kind",), known_at="booked")
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
    assert _refused(sqlite, "sql_table_missing", table="loan").endswith(
        'no table "loan": did you mean "loans"?'
    )
    assert _refused(sqlite, "sql_schema_missing", table="other.loans").endswith(
        'no schema "other": there are main'
    )
    assert "needs either the name of a table or a query" in _refused(sqlite, "sql_table")
    assert "needs either" in _refused(sqlite, "sql_table", table="loans", query="select 1")
    assert "no such column: losss" in _refused(sqlite, "sql_failed", query="select losss from loans")
    assert "wanted a SELECT" in _refused(sqlite, "sql_no_rows", query="update loans set loss = 0")
    assert (
        len(read_sql(sqlite, COLUMNS, query="select * from loans where loss = 0")) == 0
    )  # nothing was written
    with pytest.raises(InputError, match='table loans has no column "los": did you mean "loss"'):
        read_sql(sqlite, Columns(entity="client", time="day", targets=("los",)), table="loans")


def test_a_misspelt_file_makes_no_database(tmp_path: Path) -> None:
    sentence = _refused(f"sqlite:///{tmp_path}/riks.db", "sql_file", table="loans")
    assert sentence.endswith("cannot be read: No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "risk.db").write_text("client,day\n" * 100)
    sentence = _refused(f"sqlite:///{tmp_path}/risk.db", "sql_failed", table="loans")
    assert "file is not a database" in sentence


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        (f"nosuch://{USER}:{PASSWORD}@host/db", "sql_unknown", "nosuch is not a known type of database"),
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
    url = _url(free_port()).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", table="loans")
    assert sentence.startswith(
        f"postgresql+psycopg://127.0.0.1:{sa.make_url(url).port}/postgres does not answer: connection failed"
    )
    _no_secret(sentence)


def _url(port: int, password: str = PASSWORD) -> URL:
    return URL.create("postgresql", USER, password, "127.0.0.1", port, "postgres")


@pytest.fixture(scope="module")
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL server with one user."""
    with postgres_server(USER) as url:
        yield int(url.port or 0)


@pytest.mark.slow
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
    assert 'did you mean "loans"?' in _refused(text, "sql_table_missing", table="loan")
    assert 'column "losss" does not exist' in _refused(text, "sql_failed", query="select losss from loans")


def test_a_database_that_goes_away_stops_in_one_line(postgres: int) -> None:
    url = _url(postgres).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", query="select pg_terminate_backend(pg_backend_pid())")
    assert "terminating connection" in sentence
    _no_secret(sentence)


@pytest.mark.parametrize(
    ("user", "password", "said", "shown"),
    [
        ("u", "e", "connection refused", "connection refused"),
        ("use", "refused", "connection refused", "connection refused"),
        ("conn", "connection", "connection refused: connection", "connection refused: connection"),
        ("u", "pw", 'authentication failed for user "u"', 'authentication failed for user "***"'),
        ("u", "pw", "cannot use postgresql://u:pw@host/db", "cannot use postgresql://***:***@host/db"),
        ("u", "p/w", "cannot use postgresql://u:p%2Fw@host", "cannot use postgresql://***:***@host"),
        ("u", "pw", "in: user=u password=pw", "in: user=*** password=***"),
        ("u", "pw", "in: PWD=pw;UID=u", "in: PWD=***;UID=***"),
        ("u", "a b", "in: password='a b' host=h", "in: password='***' host=h"),
    ],
)
def test_credentials_are_masked_as_wholes_and_words_stay(
    user: str, password: str, said: str, shown: str
) -> None:
    error = sa.exc.OperationalError("select 1", {}, Exception(f"{said}\nsecond line {password}"))
    assert driver_message(error, URL.create("postgresql", user, password, "host")) == shown


def test_credentials_come_from_the_environment_a_password_file_and_a_service_file(
    postgres: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = "select 1 as client, date '2024-01-31' as day, 1.5 as loss, 'x' as kind, null as booked"
    plain = f"postgresql://{USER}@127.0.0.1:{postgres}/postgres"
    assert "no password supplied" in _refused(plain, "sql_unreachable", query=query)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        assert len(read_sql(plain, COLUMNS, query=query)) == 1
    with monkeypatch.context() as patch:
        (tmp_path / "pgpass").write_text(f"127.0.0.1:{postgres}:*:{USER}:{PASSWORD}\n")
        (tmp_path / "pgpass").chmod(0o600)
        patch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
        assert len(read_sql(plain, COLUMNS, query=query)) == 1
    settings = {
        "host": "127.0.0.1",
        "port": postgres,
        "dbname": "postgres",
        "user": USER,
        "password": PASSWORD,
    }
    lines = ["[desk]", *(f"{name}={value}" for name, value in settings.items())]
    (tmp_path / "services").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    assert len(read_sql("postgresql:///?service=desk", COLUMNS, query=query)) == 1
    assert len(read_sql("postgresql://?service=desk", COLUMNS, query=query)) == 1
    sentence = _refused("postgresql:///?service=risk", "sql_unreachable", query=query)
    assert sentence.startswith("postgresql+psycopg:///?service=risk does not answer: ")


def test_a_wrong_password_is_not_repeated(postgres: int) -> None:
    url = _url(postgres, "wr0ng" + PASSWORD).render_as_string(hide_password=False)
    sentence = _refused(url, "sql_unreachable", table="loans")
    assert "password authentication failed" in sentence
    _no_secret(sentence)


def test_times_with_a_zone_come_from_postgresql_as_instants(postgres: int) -> None:
    columns = Columns(zone="Europe/Berlin")
    query = "select 'a' as entity, timestamptz '2024-07-01 00:00+02' as time, 1.5 as target"
    frame = read_sql(_url(postgres).render_as_string(hide_password=False), columns, query=query)
    assert check(frame, columns).accepted["time"].tolist() == [pd.Timestamp("2024-06-30T22:00")]
