"""The entry point of API keys, in process, and once as a command."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.serving.keys import read_keys
from pipelines.keys import main
from tests.core.jobs.workers import ROOT

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def new(path: Path, name: str, *words: str) -> int:
    return main(["new", str(path), "--name", name, "--role", "use", *words])


def test_a_key_is_made_listed_and_revoked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert new(path, "job", "--per-minute", "60", "--at-once", "2", "--expires", "2099-06-30") == 0
    out, err = capsys.readouterr()
    secret = out.strip()
    assert err == f"key job is in {path}; its secret is shown this once and kept nowhere:\n"
    key = read_keys(path).find(secret.encode())
    assert key is not None
    assert (key.name, key.role, key.requests_per_minute, key.requests_at_once) == ("job", "use", 60, 2)
    assert key.expires == datetime(2099, 6, 30, tzinfo=UTC)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert main(["list", str(path)]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "NAME"
    assert re.fullmatch(rf"job +use +60 +2 +{TIME}  2099-06-30T00:00:00Z  valid", line)
    assert secret not in line
    assert main(["revoke", str(path), "job"]) == 0
    assert capsys.readouterr().out == "key job is revoked\n"
    assert read_keys(path).keys == ()


def test_an_end_may_be_given_in_days(path: Path) -> None:
    assert new(path, "job", "--expires", "90d") == 0
    expires = read_keys(path).keys[0].expires
    assert expires is not None
    assert timedelta(days=90) - timedelta(minutes=1) < expires - datetime.now(UTC) <= timedelta(days=90)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["new", "{path}", "--name", "job", "--role", "use"], 'has a key "job" already'),
        (["new", "{path}", "--name", "a b", "--role", "use"], "a letter and up to 63 more"),
        (["new", "{path}", "--name", "x", "--role", "root"], "invalid choice: 'root'"),
        (
            ["new", "{path}", "--name", "x", "--role", "use", "--expires", "soon"],
            "'soon' is no time: wanted 90d",
        ),
        (["new", "{path}", "--name", "x", "--role", "use", "--expires", "9999999d"], "is no time"),
        (
            ["new", "{path}", "--name", "x", "--role", "use", "--expires", "2020-01-01"],
            "would be expired now",
        ),
        (["new", "{path}", "--name", "x", "--role", "use", "--per-minute", "0"], "'0' is not a count"),
        (["new", "{path}/no/keys.json", "--name", "x", "--role", "use"], "cannot be read"),
        (["revoke", "{path}", "jop"], 'did you mean "job"?'),
        (["list", "{path}.none"], "No such file"),
        (["show", "{path}"], "invalid choice: 'show'"),
        ([], "COMMAND"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert new(path, "job") == 0
    before = path.read_bytes()
    capsys.readouterr()
    assert main([word.format(path=path) for word in words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("triptych-keys: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert path.read_bytes() == before


@pytest.mark.slow
def test_the_secret_alone_goes_to_stdout(path: Path) -> None:
    line = [sys.executable, "-m", "pipelines.keys", "new", str(path), "--name", "job", "--role", "read"]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.fullmatch(r"triptych_[\w-]{43}\n", done.stdout)
