"""Submit, list, cancel and requeue jobs: all that needs no worker."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dbos import EnqueueOptions, PortableWorkflowError, WorkflowSerializationFormat, WorkflowStatus

from core.errors import ExitCode, InputError, InternalFault
from core.jobs.config import DEFAULT_QUEUE, check_name
from core.jobs.reasons import ENDED, FAULTS, JOB
from core.jobs.store import APP, Store
from core.text.quoting import quoted

WORKFLOW = "job"  # the one DBOS workflow, which runs every job: so a name that a worker does not know fails, not hangs
PRIORITY = 100  # between what cannot wait and what has time
SHOWN = 12  # digits of an id that lists and logs show; any unique beginning names a job


class State(StrEnum):
    """What a person needs to know about a job."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = (State.DONE, State.FAILED, State.CANCELLED)
_STATES = {
    "ENQUEUED": State.WAITING,
    "DELAYED": State.WAITING,
    "PENDING": State.RUNNING,
    "SUCCESS": State.DONE,
    "ERROR": State.FAILED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": State.FAILED,
    "CANCELLED": State.CANCELLED,
}


@dataclass(frozen=True)
class Job:
    """One job as it stood when it was queried.

    starts: how often a worker started it. code, sentence: why it failed, or that it set inputs aside, else empty.
    due, schedule: of a scheduled job, when it was due and by which. deadline: by which it must be done. progress: parts
    done, and of how many, as the job last said. output: folder that its arguments name. exit_code: as a command's, once
    it has ended. arguments and key are only filled where one job is asked for. Times are UTC.
    """

    id: str
    name: str
    queue: str
    state: State
    starts: int
    submitted: datetime
    started: datetime | None
    ended: datetime | None
    worker: str | None
    result: Any
    code: str
    sentence: str
    priority: int = PRIORITY
    deadline: datetime | None = None
    progress: tuple[int, int] | None = None
    due: str | None = None
    schedule: str | None = None
    output: str | None = None
    exit_code: int | None = None
    arguments: Mapping[str, Any] | None = None
    key: str | None = None


def submit(
    store: Store,
    name: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    queue: str = DEFAULT_QUEUE,
    priority: int = PRIORITY,
    deadline: datetime | None = None,
    again: bool = False,
) -> str:
    """Submit the job `name` and return its id; it is kept before this returns.

    arguments: plain JSON, passed by keyword. key: the same key for the same name is one job, for as long as the
    database keeps it: while it waits or runs, and also after it is done, failed or cancelled, the second call
    changes nothing and returns the id of the first (`requeue` runs it again). priority: 1 and more, the smaller comes
    first. deadline: a job that has not started by then is not started, one that runs ends at its next `check()`.
    again: a job of this key that has ended is forgotten first, and this one takes its place.
    Raises InputError for a name, arguments or a deadline that cannot be kept.
    """
    check_name("job", name)
    check_name("queue", queue)
    arguments = dict(arguments or {})
    check_json(name, arguments)
    job = identity_of(store, name, key)
    options: EnqueueOptions = {
        "workflow_name": WORKFLOW,
        "queue_name": queue,
        "workflow_id": job,
        "app_version": APP,
        "priority": priority,
        "serialization_type": WorkflowSerializationFormat.PORTABLE,
        "attributes": {"job": name, "queue": queue, **_deadline(name, deadline)},
    }
    with store.answering():
        if again:
            ended = store.client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)
            store.client.delete_workflows([one.workflow_id for one in ended if _STATES[one.status] in ENDS])
        store.client.enqueue(options, name, arguments, key)
    return job


def jobs(store: Store, state: State | None = None, limit: int | None = None) -> list[Job]:
    """Return jobs, the latest submitted first, without arguments and keys."""
    wanted = [status for status, meaning in _STATES.items() if meaning == state] or None
    with store.answering():
        statuses = store.client.list_workflows(name=WORKFLOW, status=wanted, limit=limit, sort_desc=True)
    return [replace(_job(status), arguments=None, key=None) for status in statuses]


def job(store: Store, beginning: str) -> Job:
    """Return the job whose id begins so; raise InputError where there is none, or several."""
    text = beginning.strip().lower()
    matches: list[WorkflowStatus] = []
    if re.fullmatch(r"[0-9a-f]{4,32}", text):
        with store.answering():
            matches = store.client.list_workflows(name=WORKFLOW, workflow_id_prefix=text, limit=2)
    if not matches:
        raise JOB("job_unknown", id=quoted(beginning))
    if len(matches) > 1:
        raise JOB("job_ambiguous", id=quoted(beginning))
    return _job(matches[0])


def cancel(store: Store, beginning: str) -> Job:
    """Cancel a job that waits or runs. One that runs stops at its next `check()`; its result is dropped.

    beginning: of the job's id. Raises InputError: job_ended, or as `job` does.
    """
    one = job(store, beginning)
    if one.state not in (State.WAITING, State.RUNNING):
        raise JOB("job_ended", id=one.id[:SHOWN], state=one.state)
    with store.answering():
        store.client.cancel_workflow(one.id)
    return job(store, one.id)


def requeue(store: Store, beginning: str) -> Job:
    """Let a job that is done, failed or cancelled wait again, under its id and key, without its deadline.

    beginning: of the job's id. Raises InputError: job_not_ended, or as `job` does.
    """
    one = job(store, beginning)
    if one.state in (State.WAITING, State.RUNNING):
        raise JOB("job_not_ended", id=one.id[:SHOWN], state=one.state)
    with store.answering():
        store.client.update_workflow_attributes(one.id, {"deadline": None, "progress": None}, merge=True)
        store.client.rewind_workflow(one.id, queue_name=one.queue)
    return job(store, one.id)


def identity_of(store: Store, name: str, key: str | None) -> str:
    """Return the id of the job `name` with this key, 32 hex digits; at random without a key.

    Ids are logged and a key may hold an identifier: hence a secret, one a database.
    """
    if key is None:
        return secrets.token_hex(16)
    return hmac.digest(store.secret, f"{name}\0{key}".encode("utf-8", "surrogateescape"), "sha256").hex()[:32]


def check_json(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError unless the arguments of job `name` come back from JSON as they went in."""
    try:
        same = json.loads(json.dumps(arguments, allow_nan=False)) == arguments
    except (TypeError, ValueError):
        same = False
    if not same:
        raise JOB("job_arguments", name=name)


def count_waiting(store: Store, queue: str) -> int:
    """Return how many jobs wait on a queue."""
    with store.answering():
        waiting = store.client.list_workflows(
            status="ENQUEUED", queue_name=queue, load_input=False, load_output=False
        )
    return len(waiting)


def forget(store: Store, name: str, ended_before: datetime) -> list[str]:
    """Remove the jobs `name` that ended before a time, with arguments and results, and return their ids.

    Their keys are free again.
    """
    with store.answering():
        statuses = store.client.list_workflows(
            name=WORKFLOW,
            status=[status for status, state in _STATES.items() if state in ENDS],
            completed_before=ended_before.isoformat(),
            load_input=False,
            load_output=False,
        )
        ids = [one.workflow_id for one in statuses if (one.attributes or {}).get("job") == name]
        if ids:
            store.client.delete_workflows(ids)
    return ids


def expired(status: WorkflowStatus, now: datetime) -> str | None:
    """Return the deadline of a job where that has passed, else None."""
    text = _text(status.attributes, "deadline")
    return text if text is not None and datetime.fromisoformat(text) <= now else None


def _deadline(name: str, deadline: datetime | None) -> dict[str, str]:
    if deadline is None:
        return {}
    if deadline.tzinfo is None:
        raise JOB("job_deadline", name=name)
    return {"deadline": deadline.astimezone(UTC).isoformat(timespec="seconds")}


def _job(status: WorkflowStatus) -> Job:
    attributes = status.attributes or {}
    state = _STATES[status.status]
    exit_code, code, sentence = _ending(status, state)
    name, arguments, key = status.input["args"] if status.input else (attributes.get("job", ""), None, None)
    due = _text(arguments, "due")
    deadline = _text(attributes, "deadline")
    parts = attributes.get("progress")
    return Job(
        id=status.workflow_id,
        name=name,
        queue=attributes.get("queue", DEFAULT_QUEUE),
        state=state,
        starts=status.recovery_attempts or 0,
        submitted=_time(status.created_at) or datetime.fromtimestamp(0, UTC),
        started=_time(status.dequeued_at),
        ended=_time(status.completed_at),
        worker=status.executor_id if state is not State.WAITING else None,
        result=status.output,
        code=code,
        sentence=sentence,
        priority=status.priority or PRIORITY,
        deadline=datetime.fromisoformat(deadline) if deadline else None,
        progress=(int(parts[0]), int(parts[1])) if parts else None,
        due=due,
        schedule=key.removesuffix(f"@{due}") if key and due and key.endswith(f"@{due}") else None,
        output=_text(arguments, "output") or _text((arguments or {}).get("config"), "output"),
        exit_code=exit_code,
        arguments=arguments,
        key=key,
    )


def _text(content: Any, name: str) -> str | None:
    """Return a text of a mapping, None where there is none."""
    value = content.get(name) if isinstance(content, Mapping) else None
    return value if isinstance(value, str) else None


def _ending(status: WorkflowStatus, state: State) -> tuple[int | None, str, str]:
    """Return exit code, reason code and sentence of a job that has ended."""
    if state is State.FAILED:
        code, sentence = _failure(status)
        ours = isinstance(status.error, PortableWorkflowError) and status.error.name != InternalFault.__name__
        return int(InputError.exit_code if ours else ExitCode.FAULT), code, sentence
    if state is not State.DONE:
        return None, "", ""
    exit_code = status.output.get("exit_code") if isinstance(status.output, Mapping) else None
    if exit_code == ExitCode.QUARANTINED:
        return exit_code, "quarantined", ENDED.sentence("quarantined")
    return exit_code if isinstance(exit_code, int) else int(ExitCode.DONE), "", ""


def _failure(status: WorkflowStatus) -> tuple[str, str]:
    if status.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        times = (status.recovery_attempts or 1) - 1
        return "lost_too_often", FAULTS.sentence("lost_too_often", times=times)
    error = status.error
    if isinstance(error, PortableWorkflowError) and isinstance(error.code, str):
        return error.code, error.message
    return "fault", FAULTS.sentence("fault", what=type(error).__name__)


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
