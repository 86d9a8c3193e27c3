"""One worker in this process: outcomes, tries, cancelling, schedules, stopping, the log."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.errors import InputError, InternalFault, ItemRefused
from core.jobs.config import JobsConfig
from core.jobs.context import check, log_event, progress
from core.jobs.heartbeat import workers
from core.jobs.queue import State, cancel, job, jobs, requeue, submit
from core.jobs.runtime import Worker
from core.jobs.schedule import register
from core.jobs.store import Store
from core.runs.log import RunLog
from tests.core.jobs import sample_jobs
from tests.core.jobs.workers import until, wait, working

pytestmark = pytest.mark.slow

WAIT_S = 60.0
CANARY = "DOE^JANE-19700101"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RunLog]:
    with RunLog(tmp_path / "log.jsonl") as log:
        yield log


def events(log: RunLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text("ascii").splitlines()]


def job_ended(store: Store, identity: str) -> bool:
    """Whether it has; asked of the table itself."""
    table = sa.table("workflow_status", sa.column("workflow_uuid"), sa.column("status"))
    rows = store.rows(sa.select(table.c.status).where(table.c.workflow_uuid == identity))
    return rows[0].status in ("SUCCESS", "ERROR")


def raises(error: BaseException) -> Any:
    def function() -> None:
        raise error

    return function


def test_a_job_is_done_once(store: Store) -> None:
    calls: list[int] = []
    identity = submit(store, "add", {"a": 1, "b": 2}, key="k")
    with working(store, {"add": lambda a, b: calls.append(a) or {"sum": a + b}}) as worker:
        record = wait(store, identity, WAIT_S)
        assert submit(store, "add", {"a": 1, "b": 2}, key="k") == identity
        wait(store, submit(store, "add", {"a": 5, "b": 2}), WAIT_S)
        assert calls == [1, 5]
        assert requeue(store, identity).result is None
        again = wait(store, identity, WAIT_S)
    assert calls == [1, 5, 1]
    assert (record.state, record.result, record.starts, record.worker) == (
        State.DONE,
        {"sum": 3},
        1,
        worker.id,
    )
    assert record.started is not None
    assert record.ended is not None
    assert record.submitted <= record.started <= record.ended
    assert (again.state, again.result) == (State.DONE, {"sum": 3})


@pytest.mark.parametrize(
    ("error", "tries", "code", "sentence"),
    [
        (InputError("input_missing", "There is no input."), 1, "input_missing", "There is no input."),
        (ItemRefused("truncated", "It is cut short."), 1, "truncated", "It is cut short."),
        (OSError(CANARY), 3, "fault", "internal fault: OSError at tests/core/jobs/test_runtime.py:"),
        (SystemExit(CANARY), 1, "fault", "internal fault: SystemExit at tests/core/jobs/test_runtime.py:"),
    ],
)
def test_a_job_fails_with_a_reason(
    store: Store, log: RunLog, error: BaseException, tries: int, code: str, sentence: str
) -> None:
    with working(store, {"fail": raises(error)}, log):
        record = wait(store, submit(store, "fail"), WAIT_S)
    assert (record.state, record.code, record.starts) == (State.FAILED, code, 1)
    assert record.sentence.startswith(sentence)
    names = [event["event"] for event in events(log)]
    assert names.count("job_retried") == tries - 1
    assert names.count("job_failed") == 1
    assert CANARY not in log.path.read_text() + record.sentence


def test_a_passing_fault_is_got_over(store: Store) -> None:
    left = [ConnectionError(), TimeoutError()]

    def flaky() -> str:
        if left:
            raise left.pop()
        return "through"

    with working(store, {"flaky": flaky}):
        assert wait(store, submit(store, "flaky"), WAIT_S).result == "through"


def test_a_name_that_the_worker_does_not_know_fails(store: Store) -> None:
    with working(store, {"add": raises(OSError())}):
        record = wait(store, submit(store, "subtract"), WAIT_S)
    assert (record.code, record.sentence) == (
        "job_not_registered",
        "this worker has no job named subtract; it has: add",
    )


def test_a_target_is_imported_when_its_job_comes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "heavy_job.py").write_text("def run(a):\n    return a + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    with working(store, {"heavy": "heavy_job:run", "broken": "no.such.module:run"}):
        assert "heavy_job" not in sys.modules
        assert wait(store, submit(store, "heavy", {"a": 1}), WAIT_S).result == 2
        record = wait(store, submit(store, "broken"), WAIT_S)
    assert record.sentence.startswith("internal fault: ModuleNotFoundError at ")


def test_a_running_job_is_cancelled(store: Store, tmp_path: Path, log: RunLog) -> None:
    identity = submit(store, "linger", {"folder": str(tmp_path)})
    with working(store, {"linger": sample_jobs.linger, "add": lambda: 1}, log):
        until(lambda: sample_jobs.traced(tmp_path))
        assert job(store, identity).state is State.RUNNING
        assert cancel(store, identity).state is State.CANCELLED
        until(lambda: "job_stopped" in [event["event"] for event in events(log)])
        assert wait(store, submit(store, "add"), WAIT_S).result == 1, "its slot is free"
        assert job(store, identity).state is State.CANCELLED


def test_a_stop_gives_back_what_runs(store: Store, tmp_path: Path, log: RunLog) -> None:
    identity = submit(store, "linger", {"folder": str(tmp_path)}, queue="night")
    waiting = submit(store, "linger", {"folder": str(tmp_path)}, queue="night")
    for starts in (1, 2):
        with working(store, {"linger": sample_jobs.linger}, log, queues=["night"]):
            until(lambda starts=starts: len(sample_jobs.traced(tmp_path)) == starts)
        record = job(store, identity)
        assert (record.state, record.queue) == (State.WAITING, "night")
    assert events(log)[-1]["event"] == "worker_stopped"
    assert events(log)[-1]["count"] == 1
    (tmp_path / "go.txt").touch()
    with working(store, {"linger": sample_jobs.linger}, queues=["night"]):
        assert {wait(store, one, WAIT_S).result for one in (identity, waiting)} == {"gone"}


def test_a_worker_serves_its_queues_and_several_jobs_at_once(store: Store) -> None:
    together = threading.Barrier(3, timeout=WAIT_S)
    other = submit(store, "meet", queue="day")
    ids = [submit(store, "meet", queue="night") for _ in range(3)]
    with working(store, {"meet": lambda: together.wait() >= 0}, queues=["night"], concurrency=3):
        assert [wait(store, one, WAIT_S).result for one in ids] == [True] * 3
        assert job(store, other).state is State.WAITING


def test_a_job_that_comes_too_late_does_not_start_and_one_that_runs_ends(store: Store, log: RunLog) -> None:
    now = [datetime(2026, 1, 2, 6, 0, tzinfo=UTC)]
    deadline = now[0] + timedelta(hours=1)
    calls: list[str] = []

    def late(name: str) -> None:
        calls.append(name)
        until(lambda: check())

    running = submit(store, "late", {"name": "running"}, deadline=deadline)
    with working(store, {"late": late, "add": lambda: 1}, log, clock=lambda: now[0], attempts=5):
        in_time = submit(store, "add", deadline=deadline)
        waiting = submit(store, "late", {"name": "waiting"}, deadline=deadline)
        until(lambda: calls)
        now[0] = deadline
        expired = [wait(store, one, WAIT_S) for one in (running, waiting, in_time)]
        again = wait(store, requeue(store, in_time).id, WAIT_S)
    for record in expired:
        assert (record.state, record.code, record.exit_code, record.starts) == (
            State.FAILED,
            "job_expired",
            2,
            1,
        )
        assert record.sentence.startswith("it was not done by its deadline, 2026-01-02T07:00:00+00:00")
    assert calls == ["running"]
    assert (again.state, again.result) == (State.DONE, 1)
    assert [event["code"] for event in events(log) if event["event"] == "job_failed"] == ["job_expired"] * 3


def test_progress_is_shown_while_a_job_runs_and_not_written_more_often_than_needed(
    store: Store, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[int]] = []
    update = store.client.update_workflow_attributes

    def counted(identity: str, attributes: dict[str, Any], **words: Any) -> None:
        written.append(attributes["progress"])
        update(identity, attributes, **words)

    go_on = threading.Event()

    def counting() -> None:
        log_event("counted", count=1)
        for done in range(1, 1001):
            progress(done, 1000)
            if done == 500:
                go_on.wait(WAIT_S)

    monkeypatch.setattr(store.client, "update_workflow_attributes", counted)
    identity = submit(store, "count")
    with working(store, {"count": counting}, log):
        until(lambda: job(store, identity).progress)
        assert job(store, identity).progress == (1, 1000)
        go_on.set()
        record = wait(store, identity, WAIT_S)
    assert (record.state, record.progress) == (State.DONE, (1000, 1000))
    assert len(written) <= 4
    (line,) = (event for event in events(log) if event["event"] == "counted")
    assert (line["item"], line["count"]) == (identity[:12], 1)


def test_a_check_that_finds_the_database_away_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def job_with_outage() -> str:
        def away(*_: object, **__: object) -> None:
            raise sa.exc.OperationalError("SELECT", {}, OSError())

        with monkeypatch.context() as patch:
            for name in ("list_workflows", "update_workflow_attributes"):
                patch.setattr(store.client, name, away)
            check()
            progress(1, 1)
        return "went on"

    identity = submit(store, "outage")
    with working(store, {"outage": job_with_outage}, attempts=1):
        until(lambda: job_ended(store, identity))
    assert job(store, identity).result == "went on"


def test_due_jobs_run_without_waiting_for_the_day(store: Store, tmp_path: Path) -> None:
    now = [datetime(2026, 1, 2, 12, 0, tzinfo=UTC)]
    register(store, "daily", "0 6 * * *", "UTC", "due", {"folder": str(tmp_path)}, now=now[0])
    with working(store, {"due": sample_jobs.due}, clock=lambda: now[0]):
        for day in (3, 4, 5):
            now[0] += timedelta(days=1)
            until(lambda day=day: f"2026-01-0{day}T06:00:00+00:00" in sample_jobs.traced(tmp_path))
    assert len(sample_jobs.traced(tmp_path)) == 3
    assert {record.name for record in jobs(store, State.DONE)} == {"due"}


def test_a_job_that_takes_its_worker_down_again_and_again_fails(store: Store) -> None:
    identity = submit(store, "poison")
    # The worker does not die here: the job is taken from it as if it had, which is the same for the count.
    with working(store, {"poison": lambda: until(lambda: check())}, takeovers=2, beat_s=0.05) as worker:
        from dbos import DBOS

        for starts in (1, 2, 3):
            until(
                lambda starts=starts: (
                    (job(store, identity).starts, job(store, identity).state) == (starts, State.RUNNING)
                )
            )
            DBOS._recover_pending_workflows([worker.id])
        record = wait(store, identity, WAIT_S)
    assert (record.state, record.code) == (State.FAILED, "lost_too_often")
    assert record.sentence == "its worker died 3 times while it ran"


def test_a_job_whose_outcome_could_not_be_written_is_requeued(
    store: Store, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    with working(store, {"add": lambda: calls.append(1) or 1}, log, dead_after_s=0.5) as worker:
        identity = submit(store, "add")
        assert wait(store, identity, WAIT_S).state is State.DONE
        held = [sa.column("status") == "SUCCESS"]
        table = sa.table("workflow_status", sa.column("status"), sa.column("executor_id"))
        row = sa.update(table).where(*held).values(status="PENDING", executor_id=worker.id)
        assert store.change(row) == 1, "as if the worker had not been able to write it"
        until(lambda: len(calls) == 2)
        assert wait(store, identity, WAIT_S).result == 1
    assert "job_forgotten" in [event["event"] for event in events(log)]


def test_neither_the_log_nor_the_terminal_shows_arguments(
    store: Store, log: RunLog, capfd: pytest.CaptureFixture[str]
) -> None:
    table = {"add": lambda who: 1, "fail": raises(ValueError(CANARY)), "odd": lambda: {CANARY: object()}}
    with working(store, table, log):
        ids = [submit(store, "add", {"who": CANARY}, key=CANARY), submit(store, "fail"), submit(store, "odd")]
        ids += [submit(store, "add", {CANARY: 1})]
        states = [wait(store, one, WAIT_S).state for one in ids]
        logging.getLogger("dbos").error(CANARY)
    assert states == [State.DONE, State.FAILED, State.FAILED, State.FAILED]
    assert CANARY not in log.path.read_text()
    assert capfd.readouterr() == ("", "")
    lines = [event for event in events(log) if event["event"].startswith("job_")]
    assert {(line["item"], line["name"]) for line in lines} == {
        (one[:12], name) for one, name in zip(ids, ("add", "fail", "odd", "add"), strict=True)
    }


def test_a_database_that_is_away_is_noted_once_and_waited_for(
    store: Store, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    import core.jobs.runtime as runtime

    beats: list[str] = []
    beat = runtime.beat

    def flaky(*words: Any) -> None:
        beats.append("beat")
        if 2 <= len(beats) <= 5:
            raise OSError(CANARY)
        beat(*words)

    monkeypatch.setattr(runtime, "beat", flaky)
    with working(store, {}, log):
        until(lambda: len(beats) > 6)
    troubles = [event for event in events(log) if event["event"] == "worker_troubled"]
    assert [event["type"] for event in troubles] == ["OSError"]


def test_a_worker_that_cannot_start_lets_another_one_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("dbos.DBOS.launch", raises(OSError("no")))
        with pytest.raises(OSError, match="no"):
            Worker(store, {}, JobsConfig()).run()
    assert workers(store) == []
    with working(store, {"add": lambda: 1}):
        assert wait(store, submit(store, "add"), WAIT_S).result == 1


def test_one_worker_a_process(store: Store) -> None:
    with working(store, {"add": lambda: 1}):
        wait(store, submit(store, "add"), WAIT_S)
        with pytest.raises(InternalFault, match="one process can run one worker at a time"):
            Worker(store, {}, JobsConfig()).run()
