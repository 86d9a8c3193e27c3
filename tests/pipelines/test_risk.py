"""The entry point of the risk app: its stages, its lines, and wrong words refused at once."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.risk.config import STAGES as NAMES
from apps.risk.config import RiskConfig
from core.cli.checks import check_inputs
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import InputError
from core.settings.schema import walk
from pipelines.jobs import JOBS
from pipelines.risk import PARTS, STAGES, main

ROOT = Path(__file__).resolve().parents[2]


def test_stages_and_schema_agree() -> None:
    assert list(STAGES) == list(NAMES)
    assert dict(walk(RiskConfig))["stage"].metadata["choices"] == NAMES


@pytest.mark.parametrize("target", [*STAGES.values(), *JOBS.values()])
def test_each_stage_and_job_is_a_verb_of_the_app(target: str) -> None:
    module, _, function = target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert f"\ndef {function}(" in Path(spec.origin).read_text(encoding="utf-8")


def test_the_door_reads_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["triptych-risk", "stage=score", "otuput=x"])
    assert main() == 2
    assert capsys.readouterr().err == 'triptych-risk: unknown field "otuput"; did you mean "output"?\n'
    assert main(["--help"]) == 0
    assert "work out memory and launch line of a training" in capsys.readouterr().out


def test_a_backfill_writes_all_its_dates_into_one_output() -> None:
    line = read_command_line(["-m", "stage=score", "as_of=2024-01-31,2024-02-29", "output=out"])
    jobs = compose_jobs("risk", RiskConfig, line, PARTS)
    assert [(job.as_of, job.output) for job in jobs] == [("2024-01-31", "out"), ("2024-02-29", "out")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["as_of=2018-13-01"], "as_of=2018-13-01 is not a valid date: wanted one such as 2024-06-30"),
        (["as_of=yesterday"], "as_of=yesterday is not a valid date"),
        (["as_of="], "as_of= is not a valid date"),
        (["data.zone=Mars", "as_of=2018-12-31"], "data.zone=Mars is not a time zone"),
        (["data.max_age=soon"], "data.max_age=soon is not a valid age: wanted steps or time such as"),
        (["data.path=no.csv", "data.sample=null"], "data.path=no.csv cannot be read: No such file"),
        (["score.portfolios=no.csv"], "score.portfolios=no.csv cannot be read: No such file"),
    ],
)
def test_a_wrong_date_or_path_ends_before_the_run_begins(
    words: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["stage=score", "output=out", *words]) == 2
    assert capsys.readouterr().err.startswith(f"triptych-risk: {line}")
    assert list(tmp_path.iterdir()) == []


def test_what_a_schedule_reads_later_need_not_exist_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = read_command_line(
        ["stage=score", "output=o", "data.sample=null", "data.path=no.csv", "schedule=0 6 * * *"]
    )
    (job,) = compose_jobs("risk", RiskConfig, line, PARTS)
    check_inputs(job)
    with pytest.raises(InputError, match=r"data\.path=no\.csv cannot be read"):
        check_inputs(dataclasses.replace(job, schedule=None))


def test_a_wrong_word_is_reported_in_two_seconds_and_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pipelines.risk import main\n"
        "code = main(['stage=score', 'output=o', 'model.horizn=3'])\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pyarrow', 'sqlalchemy', 'dbos'} & set(sys.modules)\n"
        "print(code, sorted(heavy))\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 []\n"
    assert done.stderr == 'triptych-risk: unknown field "model.horizn"; did you mean "model.horizon"?\n'
    assert time.monotonic() - start < 10.0, "2 s where the processor is free"
    assert list(tmp_path.iterdir()) == []
