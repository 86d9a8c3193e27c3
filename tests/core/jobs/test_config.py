from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import ConfigError, InputError
from core.jobs.config import JobsConfig, check_name

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("concurrency", 0, "jobs.concurrency=0 is out of range: allowed is 1 or more jobs"),
        ("concurrency_total", 0, "jobs.concurrency_total=0 is out of range: allowed is 1 or more jobs"),
        ("poll_s", 0.0, "jobs.poll_s=0.0 is out of range: allowed is 0.01 to 60 s"),
        ("dead_after_s", 5.0, "jobs.dead_after_s=5 is too short: a worker sends a heartbeat every 2 s"),
    ],
)
def test_a_value_out_of_range_is_refused(field: str, value: float, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        JobsConfig(**{field: value})
    assert caught.value.sentence.startswith(sentence)


def test_one_worker_does_not_take_more_than_all_may() -> None:
    with pytest.raises(
        ConfigError, match=r"jobs\.concurrency=3 is more than jobs\.concurrency_total=2, which all"
    ):
        JobsConfig(concurrency=3, concurrency_total=2)
    assert JobsConfig(concurrency=2, concurrency_total=2).concurrency_total == 2


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/jobs", "postgresql+psycopg://me:secret@/jobs"])
def test_a_password_is_not_taken_into_the_config(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"jobs\.database holds a password, and what is given is recorded"
    ) as caught:
        JobsConfig(database=url)
    assert "secret" not in caught.value.sentence
    assert JobsConfig(database="postgresql://me@host:5432/jobs").database == "postgresql://me@host:5432/jobs"


@pytest.mark.parametrize("name", ["score", "risk.score", "a-1_b", "n" * 64])
def test_names_that_may_be_logged(name: str) -> None:
    assert check_name("job", name) == name


@pytest.mark.parametrize("name", ["", "Score", "a b", "a@b", "a/b", ".a", "n" * 65, "患者"])
def test_names_that_may_not(name: str) -> None:
    with pytest.raises(InputError, match="cannot name a queue: use 1 to 64 of a-z, 0-9"):
        check_name("queue", name)


def test_what_an_entry_point_and_a_job_import_is_light() -> None:
    words = "import sys, core.jobs.config, core.jobs.context; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "core.jobs.context" in loaded
    assert loaded & {"dbos", "sqlalchemy", "croniter", "psycopg", "torch", "pandas", "numpy"} == set()
