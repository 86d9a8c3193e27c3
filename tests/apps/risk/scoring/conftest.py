"""Databases for tests that write SQL: SQLite, and PostgreSQL where its server is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.apps.risk.postgres import postgres_server

USER = "riskwriter"


def run_sql(url: str, *statements: str) -> None:
    """Run statements in one transaction."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server with one user."""
    with postgres_server(USER) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables of scores."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/scores.db"
        return
    address: str = request.getfixturevalue("postgres")
    yield address
    run_sql(address, "drop table if exists scores", "drop table if exists log")
