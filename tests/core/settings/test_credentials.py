"""What counts as a password in a text, and what does not."""

from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.settings.credentials import holds_password, refuse_password


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://bank:hunter2@db/scores",
        "postgresql+psycopg://bank:hunter2@/scores?host=/run",
        "POSTGRES://bank:hunter2@db",
        "mysql+pymysql://:hunter2@db:3306/x",
        "postgresql://bank:hunter2/with-slash@db/scores",
        "postgresql://bank:hunter2@with-at@db/scores",
        "postgresql://bank:hunter2%40@db/scores",
        "postgresql%3A//bank%3Ahunter2%40db",
        "postgresql://bank:22/hunter2@db/scores",
        "postgresql://db/scores?user=bank&password=hunter2",
        "postgresql://db/scores?sslmode=require&sslpassword=hunter2",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dbank%3BPWD%3Dhunter2",
        "snowflake://bank@account/db?token=hunter2",
        "https://store/ct.zip?X-Amz-Signature=hunter2",
        "host=db dbname=scores user=bank password=hunter2",
        "password = hunter2 host=db",
        "input from https://me:hunter2@archive/ct",
    ],
)
def test_a_password_is_noticed_and_never_quoted(text: str) -> None:
    assert holds_password(text)
    with pytest.raises(
        ConfigError, match=r"score\.sql holds a password, and what is given is recorded"
    ) as caught:
        refuse_password("score.sql", text)
    assert "hunter2" not in caught.value.sentence
    assert "$PGPASSWORD, from ~/.pgpass or from a service file" in caught.value.sentence


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://bank@db:5432/scores",
        "postgresql://bank:@db/scores",
        "postgresql:///?service=scores",
        "postgresql://db/scores?passfile=/etc/pgpass&sslmode=require",
        "sqlite:///scores.db",
        "sqlite:////data/a:b@c.db",
        "C:/scans/a@b",
        "data/password=1/part.parquet",
        "a red apple: very shiny @ night, token://",
        "http://127.0.0.1:8000/v1",
        "",
    ],
)
def test_other_texts_pass(text: str) -> None:
    assert not holds_password(text)
    refuse_password("score.sql", text)
    refuse_password("score.sql", None)


@pytest.mark.parametrize("text", ["x" * 200_000, "a-" * 50_000, "x://a:" * 5_000, "://?" + "x?" * 50_000])
@pytest.mark.timeout(20)
def test_a_long_text_is_read_once(text: str) -> None:
    assert not holds_password(text)
