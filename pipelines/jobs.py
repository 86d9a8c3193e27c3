"""The entry point of the job queue, for all apps: `triptych-jobs work | list | show | cancel | requeue`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.cli.stages import INTERRUPTED, run_stage
from core.cli.subcommands import Parser, answer, count, table
from core.errors import ExitCode
from core.jobs.config import JobsConfig
from core.runs.folder import Run

# Name of a job → "module:function", imported when the first such job comes.
JOBS: dict[str, str] = {"nodule.series": "apps.nodule.submit:job", "risk.score": "apps.risk.score:job"}
STATES = ("waiting", "running", "done", "failed", "cancelled")
NOTHING = "-"


@dataclass
class WorkConfig:
    """What `work` runs with."""

    stage: str = "work"
    seed: int = 0
    run_dir: str | None = None
    jobs: JobsConfig = field(default_factory=JobsConfig)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; what goes wrong is one line on stderr."""

    def choose() -> str | int:
        words = _parser().parse_args(sys.argv[1:] if argv is None else list(argv))
        if words.command == "work":
            given = {setting.name: getattr(words, setting.name) for setting in dataclasses.fields(JobsConfig)}
            return run_stage("jobs", WorkConfig(run_dir=words.run_dir, jobs=JobsConfig(**given)), _STAGES)
        JobsConfig(database=words.database)  # refuses what should not stand on a command line
        return _TEXTS[words.command](words)

    return answer("triptych-jobs", choose)


def work(cfg: WorkConfig, run: Run) -> int:
    """Work until SIGTERM or Ctrl-C; a second Ctrl-C does not wait for running jobs."""
    from core.jobs.runtime import Worker
    from core.jobs.store import Store

    with Store(cfg.jobs.database) as store:
        worker = Worker(store, JOBS, cfg.jobs, run.log)

        def stop(*_: object) -> None:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            worker.stop()

        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        print(f"working on {', '.join(cfg.jobs.queues)}; log: {run.log.path}", flush=True)
        try:
            code = int(ExitCode.DONE)
            ended = worker.run()
        except KeyboardInterrupt:
            code, ended = INTERRUPTED, False
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if not ended:  # the thread of a job that was given back, or left, would keep the process alive
        run.log.event("finished", exit_code=code)
        os._exit(code)
    return code


_STAGES = {"work": "pipelines.jobs:work"}


def _list(words: argparse.Namespace) -> str:
    from core.jobs.heartbeat import workers
    from core.jobs.queue import SHOWN, State, jobs
    from core.jobs.schedule import next_due, schedules
    from core.jobs.store import Store

    rows: list[tuple[object, ...]]
    now = datetime.now(UTC)
    with Store(words.database) as store:
        if words.what == "workers":
            rows = [("WORKER", "HOST", "PID", "SINCE", "SILENT")]
            rows += [(w.id, w.host, w.pid, _time(w.started), f"{w.age_s:.1f} s") for w in workers(store)]
        elif words.what == "schedules":
            rows = [("SCHEDULE", "CRON", "ZONE", "JOB", "QUEUE", "CATCH-UP", "THROUGH", "NEXT")]
            for s in schedules(store):
                dealt_with = (s.catch_up, _time(s.through), _time(next_due(s, now)))
                rows.append((s.name, s.cron, s.zone, s.job, s.queue, *dealt_with))
        else:
            header = "ID JOB STATE STARTS DUE NEXT SUBMITTED STARTED ENDED PROGRESS EXIT REASON OUTPUT"
            rows = [tuple(header.split())]
            comes = {s.name: _time(next_due(s, now)) for s in schedules(store)}
            for job in jobs(store, State(words.state) if words.state else None, words.limit):
                times = (_time(job.submitted), _time(job.started), _time(job.ended))
                exit_code = NOTHING if job.exit_code is None else job.exit_code
                ending = (_parts(job.progress), exit_code, job.code or NOTHING, job.output or NOTHING)
                begin = (job.id[:SHOWN], job.name, job.state, job.starts)
                due = (job.due or NOTHING, comes.get(job.schedule or "", NOTHING))
                rows.append((*begin, *due, *times, *ending))
    return table(rows)


def _show(words: argparse.Namespace) -> str:
    from core.jobs.queue import job
    from core.jobs.store import Store

    with Store(words.database) as store:
        fields = dataclasses.asdict(job(store, words.id))
    lines = []
    for name, value in fields.items():
        if isinstance(value, datetime):
            value = _time(value)
        elif name == "progress":
            value = _parts(value)
        elif not isinstance(value, str):
            value = NOTHING if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)
        lines.append(f"{name:<10} {value or NOTHING}")
    return "\n".join(lines)


def _cancel(words: argparse.Namespace) -> str:
    from core.jobs.queue import SHOWN, cancel
    from core.jobs.schedule import remove
    from core.jobs.store import Store

    with Store(words.database) as store:
        if words.schedule:
            remove(store, words.id)
            return f"schedule {words.id} is removed"
        job = cancel(store, words.id)
    return f"job {job.id[:SHOWN]} is {job.state}"


def _requeue(words: argparse.Namespace) -> str:
    from core.jobs.queue import SHOWN, requeue
    from core.jobs.store import Store

    with Store(words.database) as store:
        job = requeue(store, words.id)
    return f"job {job.id[:SHOWN]} is {job.state}"


_TEXTS = {"list": _list, "show": _show, "cancel": _cancel, "requeue": _requeue}


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="triptych-jobs", description="The durable job queue of all apps.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about, allow_abbrev=False)

    worker = command("work", "work on jobs until stopped")
    worker.add_argument("--run-dir", help="folder of this run's record")
    for setting in dataclasses.fields(JobsConfig):
        _add_setting(worker, setting)
    lister = command("list", "show jobs (the latest first), schedules or workers as a table")
    lister.add_argument("what", nargs="?", choices=("jobs", "schedules", "workers"), default="jobs")
    lister.add_argument("--state", choices=STATES, help="only jobs in this state")
    lister.add_argument("--limit", type=count, default=50, help="so many jobs at most (default 50)")
    others = [
        command("show", "show one job with its arguments and result"),
        command("cancel", "cancel a job that waits or runs, or remove a schedule"),
        command("requeue", "let a job that is done, failed or cancelled run again"),
    ]
    for other in others:
        other.add_argument("id", metavar="ID", help="the job's id, or the beginning of it (4 digits or more)")
    others[1].add_argument("--schedule", action="store_true", help="ID is the name of a schedule")
    database = {setting.name: setting for setting in dataclasses.fields(JobsConfig)}["database"]
    for other in (lister, *others):
        _add_setting(other, database)
    return parser


def _add_setting(parser: argparse.ArgumentParser, setting: dataclasses.Field[Any]) -> None:
    default = getattr(JobsConfig(), setting.name)
    unit = f" {setting.metadata.get('unit', '')}".rstrip()
    number = {"int": int, "float": float}.get(str(setting.type).partition(" ")[0])
    shown = (
        ""
        if default is None
        else f" (default {' '.join(default) if isinstance(default, list) else default}{unit})"
    )
    parser.add_argument(
        "--" + setting.name.replace("_", "-"),
        default=default,
        type=number or str,
        nargs="+" if isinstance(default, list) else None,
        help=setting.metadata["about"].replace("%", "%%") + shown,
    )


def _parts(progress: tuple[int, int] | None) -> str:
    return NOTHING if progress is None else f"{progress[0]}/{progress[1]}"


def _time(time: datetime | None) -> str:
    return NOTHING if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    sys.exit(main())
