"""The entry point of the queue in process; workers as real processes: tests/e2e/test_jobs.py."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import pipelines.jobs as command
from core.errors import InputError
from core.jobs.context import progress
from core.jobs.queue import State, job, submit
from core.jobs.schedule import next_due, register, schedules
from core.jobs.store import Store
from pipelines.jobs import main
from tests.core.jobs.workers import QUICK, ROOT, until, wait, working

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    path = tmp_path / "jobs.sqlite"
    monkeypatch.setenv("TRIPTYCH_JOBS", str(path))
    monkeypatch.chdir(tmp_path)
    with Store(str(path)) as store:
        yield store


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines of a command that goes well."""
    code = main(words)
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    return out.splitlines()


def test_list_shows_jobs_schedules_and_workers(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "list") == [
        "ID  JOB  STATE  STARTS  DUE  NEXT  SUBMITTED  STARTED  ENDED  PROGRESS  EXIT  REASON  OUTPUT"
    ]
    with working(store, {"fail": lambda: 1 / 0}) as worker:
        failed = submit(store, "fail", {"who": 1}, key="a secret key")
        wait(store, failed, 60)
        (line,) = said(capsys, "list", "workers")[1:]
        assert re.fullmatch(rf"{worker.id}  \S+ +\d+ +{TIME} +\d+\.\d s", line)
    waiting = submit(store, "a-longer.name")
    register(
        store,
        "nightly",
        "0 6 * * 1-5",
        "Europe/Zurich",
        "fail",
        now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    lines = said(capsys, "list")[1:]
    assert {line.split()[0] for line in lines} == {failed[:12], waiting[:12]}
    (line,) = said(capsys, "list", "--state", "failed")[1:]
    assert re.fullmatch(
        rf"{failed[:12]}  fail  failed  1       -    -     {TIME}  {TIME}  {TIME}  -         3     fault   -",
        line,
    )
    (line,) = said(capsys, "list", "--state", "waiting", "--limit", "1")[1:]
    assert re.fullmatch(
        rf"{waiting[:12]}  a-longer.name  waiting  0       -    -     {TIME}  -        -      "
        r"-         -     -       -",
        line,
    )
    header, line = said(capsys, "list", "schedules")
    assert header.split() == ["SCHEDULE", "CRON", "ZONE", "JOB", "QUEUE", "CATCH-UP", "THROUGH", "NEXT"]
    assert line.startswith(
        "nightly   0 6 * * 1-5  Europe/Zurich  fail  default  1         2026-01-02T03:04:05Z  "
    )
    comes = datetime.fromisoformat(line.split()[-1])
    assert comes > datetime.now(UTC)
    assert f"{comes.astimezone(ZoneInfo('Europe/Zurich')):%H:%M:%S}" == "06:00:00"


def _score(config: dict[str, str], due: str, code: int) -> dict[str, int]:
    if code == 2:
        raise InputError("input_late", "the newest value is old")
    return {"exit_code": code}


def test_list_and_show_say_when_a_job_was_due_where_its_output_is_and_how_it_ended(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    due = "2026-01-02T06:00:00+01:00"
    ended = {}
    register(store, "nightly", "0 6 * * *", "Europe/Zurich", "score")
    with working(store, {"score": _score}):
        for code in (0, 2, 4):
            arguments = {"config": {"output": f"/data/out{code}", "secret": "x"}, "due": due, "code": code}
            ended[code] = submit(store, "score", arguments, key=f"nightly@{due}" if code == 4 else None)
            wait(store, ended[code], 60)
    rows = [line.split() for line in said(capsys, "list")[1:]]
    (schedule,) = schedules(store)
    comes = f"{next_due(schedule, datetime.now(UTC)):%Y}"
    assert [(line[2], line[4], line[5][:4], *line[-3:]) for line in reversed(rows)] == [
        ("done", due, "-", "0", "-", "/data/out0"),
        ("failed", due, "-", "2", "input_late", "/data/out2"),
        ("done", due, comes, "4", "quarantined", "/data/out4"),
    ]
    shown = dict(line.split(maxsplit=1) for line in said(capsys, "show", ended[4]))
    assert shown["exit_code"] == "4"
    assert shown["sentence"] == "it is done, and some inputs were set aside: its output lists them"
    assert (shown["due"], shown["output"]) == (due, "/data/out4")


def test_list_and_show_say_how_far_a_job_is(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    identity = submit(store, "count", deadline=datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC), priority=3)
    with working(store, {"count": lambda: progress(7, 7)}):
        wait(store, identity, 60)
    header, line = (line.split() for line in said(capsys, "list"))
    assert line[header.index("PROGRESS")] == "7/7"
    shown = dict(line.split(maxsplit=1) for line in said(capsys, "show", identity))
    assert (shown["progress"], shown["deadline"], shown["priority"]) == ("7/7", "2099-01-02T03:04:05Z", "3")


def test_show_tells_all_about_one_job(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    identity = submit(store, "add", {"b": 2, "a": "é"}, key="k")
    lines = dict(line.split(maxsplit=1) for line in said(capsys, "show", identity[:8]))
    assert lines.pop("submitted")[-1] == "Z"
    assert lines == {
        "id": identity,
        "name": "add",
        "queue": "default",
        "state": "waiting",
        "starts": "0",
        "started": "-",
        "ended": "-",
        "worker": "-",
        "result": "-",
        "code": "-",
        "sentence": "-",
        "arguments": '{"a": "é", "b": 2}',
        "key": "k",
        "priority": "100",
        "deadline": "-",
        "progress": "-",
        "due": "-",
        "schedule": "-",
        "output": "-",
        "exit_code": "-",
    }


def test_cancel_and_requeue(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    identity = submit(store, "add")
    assert said(capsys, "cancel", identity[:6]) == [f"job {identity[:12]} is cancelled"]
    assert said(capsys, "requeue", identity[:6]) == [f"job {identity[:12]} is waiting"]
    assert job(store, identity).state is State.WAITING
    register(store, "nightly", "0 6 * * 1-5", "Europe/Zurich", "add")
    assert said(capsys, "cancel", "--schedule", "nightly") == ["schedule nightly is removed"]
    assert schedules(store) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "the following arguments are required: COMMAND; `triptych-jobs --help` shows what there is"),
        (["lis"], "argument COMMAND: invalid choice: 'lis' (choose from"),
        (
            ["show"],
            "the following arguments are required: ID; `triptych-jobs show --help` shows what there is",
        ),
        (
            ["show", "abcd"],
            'no job has an id that begins with "abcd": `triptych-jobs list` shows those that there are',
        ),
        (["cancel", "x'; --"], 'no job has an id that begins with "x\'; --"'),
        (["requeue", "1234"], 'no job has an id that begins with "1234"'),
        (["cancel", "--schedule", "x"], 'no schedule is named "x"'),
        (["list", "--state", "lost"], "argument --state: invalid choice: 'lost' (choose from"),
        (["list", "--limit", "-1"], "argument --limit: '-1' is not a count: give 1 or more"),
        (["list", "--sta=done"], "unrecognized arguments: --sta=done"),
        (["list", "--database", "postgresql://me:secret@host/jobs"], "jobs.database holds a password"),
        (["work", "--concurrency", "0"], "jobs.concurrency=0 is out of range: allowed is 1 or more jobs"),
        (["work", "--beat-s", "fast"], "argument --beat-s: invalid float value: 'fast'"),
        (["work", "--queues", "A"], '"A" cannot name a queue'),
        (["work", "--database", "mysql://x/y"], "the database of jobs is neither a file nor a URL"),
    ],
)
def test_a_wrong_command_ends_with_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"triptych-jobs: {sentence}")
    assert err.count("\n") == 1
    assert "secret" not in err
    assert out == ""


def test_a_fault_names_its_place_and_not_its_message(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(command._TEXTS, "list", lambda _: {}["CANARY"])
    assert main(["list"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(
        r"triptych-jobs: internal fault: KeyError at tests/pipelines/test_jobs\.py:\d+\n", err
    )


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(" ".join(said(capsys, "work", "--help")).split())
    for words in ("--queues QUEUES", "(default default)", "--dead-after-s", "(default 30.0 s)", "--run-dir"):
        assert words in text
    assert "work work on jobs until stopped" in " ".join(" ".join(said(capsys, "--help")).split())


def test_work_until_a_signal(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_job.py").write_text("def run(a):\n    print('noise')\n    return a + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(command.JOBS, "mine", "my_job:run")
    identity = submit(store, "mine", {"a": 1})

    def stop() -> None:
        until(lambda: job(store, identity).state is State.DONE)
        signal.raise_signal(signal.SIGTERM)

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    threading.Thread(target=stop).start()
    words = [word for name, value in QUICK.items() for word in ("--" + name.replace("_", "-"), str(value))]
    assert main(["work", "--run-dir", "run", *words]) == 0
    out, err = capsys.readouterr()
    assert (out.splitlines()[0], err) == ("working on default; log: run/log.jsonl", "")
    assert job(store, identity).result == 2
    events = [json.loads(line)["event"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert events == ["started", "worker_started", "job_started", "job_done", "worker_stopped", "finished"]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_reader_that_has_seen_enough_is_not_a_fault(store: Store, tmp_path: Path) -> None:
    for _ in range(3):
        submit(store, "add")
    words = f"{sys.executable} -m pipelines.jobs list --database {tmp_path}/jobs.sqlite | true; echo ${{PIPESTATUS[0]}}"
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-c", words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
