"""What is kept of a request, for how long, and what is said where it cannot be; over HTTP: test_kept_routes.py."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from apps.imagegen.service.kept import JOB, KeptRequests
from core.jobs.queue import State, cancel, jobs
from core.jobs.store import Store
from core.serving.service_error import ServiceError

BODY = {"prompt": "red apple"}


async def draw(*_: Any) -> dict[str, Any]:
    raise AssertionError("nothing is drawn here")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The database of the requests; no worker takes them."""
    monkeypatch.setenv("TRIPTYCH_JOBS", str(tmp_path / "jobs.sqlite"))
    monkeypatch.setattr(KeptRequests, "_start", lambda _: None)
    monkeypatch.setattr("apps.imagegen.service.kept._SWEEP_S", 0.0)
    with Store() as store:
        yield store


def requests(folder: Path, hours: float = 1.0, most: int = 3) -> KeptRequests:
    return KeptRequests(folder / "answers", "images.abc", draw, hours=hours, most=most, together=2)


def refusal(call: Any, *words: Any) -> tuple[int, str]:
    with pytest.raises(ServiceError) as caught:
        call(*words)
    return caught.value.status, caught.value.code


def test_a_request_is_on_the_queue_once_it_is_accepted(tmp_path: Path, store: Store) -> None:
    kept = requests(tmp_path)
    one, new = kept.accept("k", BODY, {**BODY, "seed": 3})
    assert (new, one.state, one.queue, one.name) == (True, State.WAITING, "images.abc", JOB)
    assert (one.arguments or {})["request"] == {**BODY, "seed": 3}
    again, new = requests(tmp_path).accept("k", BODY, {**BODY, "seed": 4})
    assert (new, again.id, again.arguments) == (False, one.id, one.arguments)
    assert kept.find(one.id).id == one.id
    assert refusal(kept.accept, "k", {"prompt": "a car"}, BODY) == (422, "idempotency_key_reused")
    assert [each.id for each in jobs(store)] == [one.id]


def test_no_more_wait_than_may_and_those_known_are_answered_all_the_same(
    tmp_path: Path, store: Store
) -> None:
    kept = requests(tmp_path, most=2)
    first, _ = kept.accept("0", BODY, BODY)
    kept.accept("1", BODY, BODY)
    assert refusal(kept.accept, "2", BODY, BODY) == (429, "kept_full")
    assert kept.accept("0", BODY, BODY)[0].id == first.id
    kept.cancel(first.id)
    assert kept.accept("2", BODY, BODY)[1]
    assert len(jobs(store)) == 3


def test_an_answer_expires_with_its_request_and_its_key(tmp_path: Path, store: Store) -> None:
    kept = requests(tmp_path)
    one, _ = kept.accept("k", BODY, BODY)
    kept.path(one).write_bytes(b"{}")
    assert kept.work(**(one.arguments or {})) == {"answer": kept.path(one).name}, "drawn before a crash: kept"
    cancel(store, one.id)
    long_ago = time.time() - 2 * 3600
    os.utime(kept.path(one), (long_ago, long_ago))
    with pytest.raises(ServiceError, match="the request was cancelled"):
        kept.raise_failure(kept.find(one.id))
    later = requests(tmp_path, hours=1e-9)
    two, new = later.accept("k", {"prompt": "a car"}, BODY)
    assert (new, two.id) == (True, one.id)
    assert list(kept.folder.iterdir()) == []


def test_an_answer_that_was_removed_is_drawn_again(tmp_path: Path, store: Store) -> None:
    kept = requests(tmp_path)
    kept.accept("k", BODY, BODY)
    status = sa.table("workflow_status", sa.column("status"))
    store.change(sa.update(status).values(status="SUCCESS"))
    assert kept.accept("k", BODY, BODY)[1]


def test_a_database_or_a_folder_that_cannot_be_used_is_said_without_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptRequests, "_start", lambda _: None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRIPTYCH_JOBS", "postgresql://nobody@127.0.0.1:1/none")
    assert refusal(requests(tmp_path).accept, "k", BODY, BODY) == (503, "kept_unavailable")
    monkeypatch.setenv("TRIPTYCH_JOBS", str(tmp_path / "jobs.sqlite"))
    kept = requests(tmp_path / "file")
    assert refusal(kept.accept, "k", BODY, BODY) == (507, "kept_unwritable")
    assert refusal(kept.find, "0" * 32) == (404, "kept_unknown")
