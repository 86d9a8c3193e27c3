"""What needs no worker: submit, list, cancel, requeue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from core.errors import InputError
from core.jobs.queue import State, cancel, forget, job, jobs, requeue, submit
from core.jobs.reasons import DatabaseAway
from core.jobs.store import Store
from tests.core.jobs.workers import wait, working


def test_a_submitted_job_waits(store: Store) -> None:
    identity = submit(store, "add", {"a": [1, None], "b": {"é": 0.5}}, key="2026-01-05", queue="night")
    record = job(store, identity)
    assert (record.id, record.name, record.queue, record.key) == (identity, "add", "night", "2026-01-05")
    assert record.arguments == {"a": [1, None], "b": {"é": 0.5}}
    assert (record.state, record.starts, record.started, record.ended) == (State.WAITING, 0, None, None)
    assert (record.worker, record.result, record.code, record.sentence) == (None, None, "", "")
    (listed,) = jobs(store)
    assert (listed.id, listed.name, listed.arguments, listed.key) == (identity, "add", None, None)


def test_the_same_key_is_one_job_in_every_state(store: Store) -> None:
    first = submit(store, "add", {"a": 1}, key="k")
    assert submit(store, "add", {"a": 2}, key="k") == first
    assert submit(store, "subtract", {"a": 1}, key="k") != first
    assert submit(store, "add", {"a": 1}, key="l") != first
    cancel(store, first)
    assert submit(store, "add", {"a": 3}, key="k") == first
    record = job(store, first)
    assert (record.state, record.arguments) == (State.CANCELLED, {"a": 1})
    assert len(jobs(store)) == 3
    assert len({submit(store, "add"), submit(store, "add")}) == 2


def test_an_id_does_not_give_its_key_away(tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        with Store(str(tmp_path / name)) as store:
            ids.add(submit(store, "add", key="1.2.840.113619.2.55.3"))
    assert len(ids) == 2, (
        "the same key in another database has another id: a list of keys cannot be tried out"
    )


@pytest.mark.parametrize("arguments", [{"x": float("nan")}, {"x": (1, 2)}, {"x": Path("a")}, {"x": {1: 2}}])
def test_arguments_that_json_does_not_give_back_are_refused(store: Store, arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the arguments of job add are not plain JSON: use text, finite"):
        submit(store, "add", arguments)
    assert jobs(store) == []


def test_names_are_checked(store: Store) -> None:
    with pytest.raises(InputError, match='"Add it" cannot name a job'):
        submit(store, "Add it")
    with pytest.raises(InputError, match='"_dbos" cannot name a queue'):
        submit(store, "add", queue="_dbos")


def test_a_job_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    identity = submit(store, "add")
    assert job(store, identity[:12].upper()).id == identity
    for wrong in ("", "12", "zzzz", "%", identity + "0"):
        with pytest.raises(InputError, match="no job has an id that begins with") as caught:
            job(store, wrong)
        assert caught.value.code == "job_unknown"
    for number in range(16):
        store.client.enqueue(
            {"workflow_name": "job", "queue_name": "q", "workflow_id": f"abcd{number:x}"}, "add", {}, None
        )
    with pytest.raises(
        InputError, match='several jobs have ids that begin with "abcd": give more digits'
    ) as caught:
        job(store, "abcd")
    assert caught.value.code == "job_ambiguous"
    assert job(store, "abcd7").id == "abcd7"


def test_lists_by_state_with_a_limit(store: Store) -> None:
    ids = [submit(store, "add") for _ in range(4)]
    cancel(store, ids[0])
    assert {record.id for record in jobs(store, State.WAITING)} == set(ids[1:])
    assert [record.id for record in jobs(store, State.CANCELLED)] == [ids[0]]
    assert len(jobs(store, limit=2)) == 2
    assert jobs(store, State.RUNNING) == []


def test_cancel_and_requeue_refuse_what_makes_no_sense(store: Store) -> None:
    identity = submit(store, "add", {"a": 1}, key="k", queue="night")
    with pytest.raises(InputError, match=rf"job {identity[:12]} is waiting already: cancel it first"):
        requeue(store, identity)
    assert cancel(store, identity).state is State.CANCELLED
    with pytest.raises(InputError, match=rf"job {identity[:12]} is cancelled: only one that waits or runs"):
        cancel(store, identity)
    again = requeue(store, identity)
    assert (again.id, again.state, again.queue, again.arguments) == (
        identity,
        State.WAITING,
        "night",
        {"a": 1},
    )


def test_what_cannot_wait_comes_first(store: Store) -> None:
    order: list[str] = []
    ids = [
        submit(store, "note", {"text": text}, priority=priority)
        for text, priority in (("late", 200), ("usual", 100), ("at once", 1))
    ]
    with working(store, {"note": lambda text: order.append(text)}):
        for identity in ids:
            wait(store, identity, 60)
    assert order == ["at once", "usual", "late"]


def test_an_outage_is_one_sentence(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = submit(store, "add", {"who": "CANARY"})

    def away(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("INSERT CANARY", {}, OSError("CANARY"))

    for name in ("enqueue", "list_workflows", "cancel_workflow", "rewind_workflow"):
        monkeypatch.setattr(store.client, name, away)
    for call in (
        lambda: submit(store, "add"),
        lambda: jobs(store),
        lambda: job(store, identity),
        lambda: cancel(store, identity),
        lambda: requeue(store, identity),
    ):
        with pytest.raises(
            DatabaseAway, match=r"jobs\.sqlite does not work \(OSError\): check that"
        ) as caught:
            call()
        assert "CANARY" not in caught.value.sentence


def test_a_deadline_and_a_priority_are_kept_and_requeueing_drops_the_deadline(store: Store) -> None:
    deadline = datetime(2026, 1, 5, 7, tzinfo=ZoneInfo("Europe/Zurich"))
    identity = submit(store, "add", deadline=deadline, priority=7, key="k")
    assert submit(store, "add", deadline=deadline + timedelta(days=1), key="k") == identity
    record = job(store, identity)
    assert (record.deadline, record.priority, record.progress) == (deadline, 7, None)
    assert jobs(store)[0].deadline == deadline
    cancel(store, identity)
    record = requeue(store, identity)
    assert (record.deadline, record.priority, record.queue, record.name) == (None, 7, "default", "add")
    with pytest.raises(InputError, match="the deadline of job add has no time zone"):
        submit(store, "add", deadline=datetime(2026, 1, 5))


def test_what_ended_long_ago_is_forgotten_with_its_arguments_and_its_key_is_free(store: Store) -> None:
    ended = [submit(store, "add", {"a": item}, key=f"k{item}") for item in range(3)]
    others = [submit(store, "add"), submit(store, "subtract")]
    for one in (*ended, others[1]):
        cancel(store, one)
    assert forget(store, "add", datetime.now(UTC) - timedelta(hours=1)) == []
    assert set(forget(store, "add", datetime.now(UTC) + timedelta(seconds=1))) == set(ended)
    assert {record.id for record in jobs(store)} == set(others)
    again = submit(store, "add", {"a": 9}, key="k0")
    assert (again, job(store, again).arguments) == (ended[0], {"a": 9})
