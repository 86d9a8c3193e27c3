from __future__ import annotations

import psycopg
import pytest

from tests.core.jobs.workers import postgres

pytestmark = pytest.mark.slow


def test_a_server_comes_back_with_its_data() -> None:
    with postgres() as server:
        url = server.new_database("one")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (x int)")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
