"""stage=submit: every series of a folder as a job of its own, for all workers that share database and folders.

The results are those of stage=infer, byte for byte. A job may be killed, repeated and taken over without harm: it
writes its files whole, then its record (`report.submission`), then summary.csv from all records.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.nodule.config import ModelConfig, NoduleConfig
from apps.nodule.data.files import found_file
from apps.nodule.data.series import SeriesItem, judge_files
from apps.nodule.infer import base_of, result_of, search_and_write, series_between, settle
from apps.nodule.models.build import build_detector
from apps.nodule.models.detector import Detector
from apps.nodule.reasons import ACCEPTED, BAD_INPUT, QUARANTINED, SKIPPED, Reason, fault
from apps.nodule.report.submission import Submission, Submitted, digest_of
from core.errors import ExitCode, OutputError, where_of
from core.jobs.context import check, log_event, progress
from core.runs.folder import Run
from core.runs.outputs import output_error
from core.settings.schema import build, with_absolute_paths

if TYPE_CHECKING:
    from core.jobs.store import Store

JOB = "nodule.series"
STEPS = 3  # of a job: read, searched, written
EMBEDDED = Path(__file__).parent / "weights" / "compact.safetensors"
_DIGITS = 32
_TURN_S = 0.2
# a process searches one series at a time: libraries are kept quiet for the whole process, and use all its cores
_turn = threading.Lock()


def run(cfg: NoduleConfig, run: Run) -> int:
    """Put each accepted series of `cfg.input` on the queue and settle the others; return 4 where one was quarantined.

    What is done already, with these files and settings, is not done again. Raises InputError where the input holds
    nothing, the output cannot be written, or the database of jobs does not answer.
    """
    from core.jobs.store import Store  # its libraries take a second that a wrong input need not wait

    cfg = with_absolute_paths(cfg)
    source, output = Path(str(cfg.input)), Path(str(cfg.output))
    items = series_between(source, output, run)
    base, mark = base_of(source), _mark(cfg)
    submission = Submission(output)
    series = [_submitted(item, base, _settings(cfg, mark)) for item in items]
    counts: Counter[str] = Counter()
    with Store() as store:
        submission.begin(base, series)
        for item, one in zip(items, series, strict=True):
            if item.status != ACCEPTED:
                reason = Reason(item.status, item.code, item.sentence)
                submission.settle(one, settle(item, result_of(item, reason), output, base))
                counts[item.status] += 1
            elif submission.row(one) is not None:
                counts["done"] += 1
            else:
                _enqueue(store, cfg, one, mark)
                counts["jobs"] += 1
        submission.assemble()
    return _finish(counts, cfg, run)


def job(config: dict[str, Any], series: str, weights: str) -> dict[str, Any]:
    """Search one submitted series and write its results; what triptych-jobs calls. Returns its status and reason.

    config: of a submission, paths absolute. series: digest of its files and settings. weights: digest of what searched
    series are to be searched with, so that all workers find the same. A series that was submitted again
    with other files is left to that job. Raises InputError where the output does not hold the submission or cannot be
    written, or the detector cannot be loaded.
    """
    cfg: NoduleConfig = build(NoduleConfig, config)
    if _mark(cfg) != weights:
        raise BAD_INPUT("weights_changed")
    submission = Submission(Path(str(cfg.output)))
    base, listed = submission.read()
    one = next((one for one in listed if one.digest == series), None)
    if one is None:
        return {"status": "replaced", "exit_code": int(ExitCode.DONE)}
    try:
        row = submission.row(one)
        if row is None:
            with _one_at_a_time():
                row, final = _searched(cfg, weights, base, one)
            submission.settle(one, row, final=final)
        submission.assemble()
    except OutputError as error:
        # its sentence names the file, in a folder named by a UID: a list of jobs shows the output alone
        cause = error.__cause__
        raise (output_error(cause, cfg.output) if isinstance(cause, OSError) else error) from None
    code = ExitCode.QUARANTINED if row["status"] == QUARANTINED else ExitCode.DONE
    return {"status": row["status"], "reason": row["reason"], "exit_code": int(code)}


def _searched(cfg: NoduleConfig, mark: str, base: Path, one: Submitted) -> tuple[dict[str, Any], bool]:
    """Return the row of a series, and whether it stands for good."""
    output = Path(str(cfg.output))
    if digest_of(base, one.id, one.files, _settings(cfg, mark)) != one.digest:
        reason = fault("changed_since_submission")
        files = tuple(base / name for name in one.files)
        gone = SeriesItem(one.id, reason.status, reason.code, reason.sentence, files, one.kind)
        return settle(gone, result_of(gone, reason), output, base), False
    steps = iter(range(1, STEPS))

    def step() -> None:
        progress(next(steps), STEPS)
        check()

    def on_fault(_: SeriesItem, error: Exception) -> None:
        log_event("fault", type=type(error).__name__, where=where_of(error))

    item = _again(base, one)
    detector = _detector(
        json.dumps(dataclasses.asdict(cfg.model)), cfg.weights, cfg.artifacts, cfg.runtime, mark
    )
    row = settle(item, search_and_write(item, detector, output, on_fault, step), output, base)
    progress(STEPS, STEPS)
    return row, True


def _again(base: Path, one: Submitted) -> SeriesItem:
    """Return the item of a submitted series, judged from its own files alone; a volume's name hangs on others too."""
    items = judge_files([found_file(base / name, base) for name in one.files])
    same = [item for item in items if item.id == one.id]
    return same[0] if same else dataclasses.replace(items[0], id=one.id)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    while not _turn.acquire(timeout=_TURN_S):
        check()
    try:
        yield
    finally:
        _turn.release()


@functools.lru_cache(maxsize=1)
def _detector(model: str, weights: str | None, artifacts: str | None, runtime: str, _mark: str) -> Detector:
    """Build the detector once for all series of a submission."""
    return build_detector(ModelConfig(**json.loads(model)), weights, artifacts, runtime)


def _submitted(item: SeriesItem, base: Path, settings: Mapping[str, Any]) -> Submitted:
    names = tuple(path.relative_to(base).as_posix() for path in item.group)
    return Submitted(item.id, digest_of(base, item.id, names, settings), item.kind, names)


def _enqueue(store: Store, cfg: NoduleConfig, one: Submitted, mark: str) -> None:
    from core.jobs.queue import submit

    hours = cfg.submit.deadline_h
    submit(
        store,
        JOB,
        {"config": {**dataclasses.asdict(cfg), "run_dir": None}, "series": one.digest, "weights": mark},
        key=f"{cfg.output}\n{one.digest}",
        queue=cfg.submit.queue,
        priority=cfg.submit.priority,
        deadline=None if hours is None else datetime.now(UTC) + timedelta(hours=hours),
        again=True,
    )


def _settings(cfg: NoduleConfig, mark: str) -> dict[str, Any]:
    """Return what decides the results of a series beside its files."""
    return {"model": dataclasses.asdict(cfg.model), "runtime": cfg.runtime, "weights": mark}


def _mark(cfg: NoduleConfig) -> str:
    """Return a digest of the weights and of the exported networks that search."""
    weights = Path(cfg.weights) if cfg.weights else EMBEDDED
    files = sorted(weights.iterdir()) if weights.is_dir() else [weights]
    if cfg.artifacts:
        files += sorted(Path(cfg.artifacts).rglob("*"))
    whole = hashlib.sha256()
    try:
        for path in files:
            if path.is_file():
                status = path.stat()
                whole.update(_digest_of_file(path, status.st_size, status.st_mtime_ns))
    except OSError as error:
        raise BAD_INPUT("weights_unreadable", path=weights, why=error.strerror) from error
    return whole.hexdigest()[:_DIGITS]


@functools.lru_cache(maxsize=64)
def _digest_of_file(path: Path, _size: int, _time: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _finish(counts: Counter[str], cfg: NoduleConfig, run: Run) -> int:
    numbers = {name: counts[name] for name in ("jobs", "done", SKIPPED, QUARANTINED)}
    run.write_metrics(numbers)
    run.log.event(
        "submitted", count=numbers["jobs"], skipped=numbers[SKIPPED], quarantined=numbers[QUARANTINED]
    )
    print(
        f"{numbers['jobs']} series are jobs on the queue {cfg.submit.queue}, {numbers['done']} were done before, "
        f"{numbers[SKIPPED]} skipped, {numbers[QUARANTINED]} quarantined; `triptych-jobs work` searches them",
        flush=True,
    )
    return ExitCode.QUARANTINED if numbers[QUARANTINED] else ExitCode.DONE
