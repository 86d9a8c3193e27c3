"""stage=submit through its entry point, its jobs in a worker of this process; killed workers: tests/e2e."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.nodule import submit as stage
from apps.nodule.report.submission import FOLDER
from core.jobs.queue import Job, State, cancel, job, jobs
from core.jobs.store import Store
from core.runs.log import RunLog
from pipelines.jobs import JOBS
from pipelines.nodule import main
from tests.apps.nodule import inputs
from tests.core.jobs.workers import wait, working

pytestmark = pytest.mark.slow
OPTIONS = ("model.device=cpu", "model.max_candidates=1")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs.fresh_weights(tmp_path_factory.mktemp("weights") / "w.safetensors")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    path = tmp_path / "jobs.sqlite"
    monkeypatch.setenv("TRIPTYCH_JOBS", str(path))
    monkeypatch.chdir(tmp_path)
    with Store(str(path)) as store:
        yield store


def call(name: str, source: Path, output: Path, weights: Path, *words: str) -> int:
    run_dir = f"{output}-{name}"
    return main([f"stage={name}", f"input={source}", f"output={output}", f"run_dir={run_dir}",
                 f"weights={weights}", *OPTIONS, *words])  # fmt: skip


def tree(folder: Path) -> dict[str, bytes]:
    """All files with their bytes, those of the submission left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name: data for name, data in named.items() if not name.startswith(f"{FOLDER}/")}


def worked(store: Store, log: RunLog | None = None) -> list[Job]:
    """Let a worker do all that waits, and return the jobs."""
    waiting = [one.id for one in jobs(store, State.WAITING)]
    with working(store, JOBS, log, dead_after_s=30.0):
        return [wait(store, one, 120) for one in waiting]


def rows(output: Path) -> dict[str, dict[str, str]]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as stream:
        return {row["series"]: row for row in csv.DictReader(stream)}


def test_a_nasty_night_as_jobs_gives_the_bytes_of_infer(
    tmp_path: Path,
    store: Store,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = inputs.nasty_night(tmp_path / "in")
    accepted = [name for name, (status, _) in expected.items() if status == "accepted"]
    built: list[int] = []
    build = stage.build_detector
    monkeypatch.setattr(stage, "build_detector", lambda *words: built.append(1) or build(*words))
    stage._detector.cache_clear()
    assert call("infer", tmp_path / "in", tmp_path / "whole", weights) == 4
    capsys.readouterr()

    assert call("submit", tmp_path / "in", tmp_path / "out", weights) == 4
    line = capsys.readouterr().out
    assert line.startswith(f"{len(accepted)} series are jobs on the queue default, 0 were done before, ")
    assert line.count("\n") == 1
    assert set(rows(tmp_path / "out")) == set(expected) - set(accepted), "those that need no search"
    log = RunLog(tmp_path / "log.jsonl")
    done = worked(store, log)
    assert {one.state for one in done} == {State.DONE}
    assert len(done) == len(accepted)
    assert built == [1], "once in a process"
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    seen = log.path.read_text() + str([(one.result, one.key, one.arguments) for one in done])
    assert len(accepted) > 2
    assert not [name for name in expected if name in seen], "no UID in the log or in the list of jobs"
    assert {one.output for one in jobs(store)} <= {None, str(tmp_path / "out")}

    assert call("submit", tmp_path / "in", tmp_path / "out", weights) == 4
    assert capsys.readouterr().out.startswith(
        f"0 series are jobs on the queue default, {len(accepted)} were done"
    )
    assert jobs(store, State.WAITING) == []


def one_series(folder: Path, *names: str) -> dict[str, str]:
    """A folder of small series; name → UID."""
    uids = {}
    for name in names:
        uid, datasets = inputs.series(name)
        inputs.save(datasets, folder / name)
        uids[name] = uid
    return uids


def test_what_is_there_is_not_done_again_and_what_is_lost_or_new_is(
    tmp_path: Path, store: Store, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uids = one_series(tmp_path / "in", "a", "b")
    output = tmp_path / "out"
    assert call("submit", tmp_path / "in", output, weights, "submit.priority=7", "submit.queue=default") == 0
    assert {one.priority for one in jobs(store)} == {7}
    worked(store)
    before = tree(output)
    assert capsys.readouterr().out.startswith("2 series are jobs")
    shutil.rmtree(output / uids["a"])
    uids |= one_series(tmp_path / "in", "c")
    assert call("submit", tmp_path / "in", output, weights) == 0
    assert capsys.readouterr().out.startswith("2 series are jobs on the queue default, 1 were done before")
    assert len(worked(store)) == 2
    assert set(rows(output)) == set(uids.values())
    after = tree(output)
    assert {name: after[name] for name in before if name != "summary.csv"} == {
        name: data for name, data in before.items() if name != "summary.csv"
    }


def test_other_settings_are_other_results_and_the_first_ones_are_made_anew(
    tmp_path: Path, store: Store, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_series(tmp_path / "in", "a")
    trees = []
    for option in ("0.02", "0.5", "0.02"):
        assert (
            call("submit", tmp_path / "in", tmp_path / "out", weights, f"model.candidate_threshold={option}")
            == 0
        )
        assert capsys.readouterr().out.startswith(
            "1 series are jobs on the queue default, 0 were done before"
        )
        worked(store)
        trees.append(tree(tmp_path / "out"))
    assert trees[0] == trees[2] != trees[1]


def test_a_series_that_vanished_is_quarantined_and_comes_back(
    tmp_path: Path, store: Store, weights: Path
) -> None:
    uids = one_series(tmp_path / "in", "a", "b")
    output = tmp_path / "out"
    call("submit", tmp_path / "in", output, weights)
    (tmp_path / "in" / "b").rename(tmp_path / "b")
    results = sorted((one.result["reason"], one.exit_code, one.code) for one in worked(store))
    assert results == [("changed_since_submission", 4, "quarantined"), ("ct_series", 0, "")]
    assert rows(output)[uids["b"]]["status"] == "quarantined"
    assert (output / "quarantine" / f"{uids['b']}.json").is_file()
    (tmp_path / "b").rename(tmp_path / "in" / "b")
    call("submit", tmp_path / "in", output, weights)
    assert len(worked(store)) == 1
    call("infer", tmp_path / "in", tmp_path / "whole", weights)
    assert tree(output) == tree(tmp_path / "whole")


def test_an_output_that_vanished_is_one_clear_reason_and_nothing_is_lost(
    tmp_path: Path, store: Store, weights: Path
) -> None:
    uids = one_series(tmp_path / "in", "a")
    output = tmp_path / "out"
    call("submit", tmp_path / "in", output, weights)
    shutil.rmtree(output)
    (one,) = worked(store)
    assert (one.state, one.code, one.exit_code) == (State.FAILED, "submission_missing", 2)
    assert one.sentence.startswith(f"{output} does not hold the list of submitted series")
    call("submit", tmp_path / "in", output, weights)
    (one,) = worked(store)
    assert (one.state, one.result["status"]) == (State.DONE, "accepted")
    assert set(rows(output)) == {uids["a"]}
    call("infer", tmp_path / "in", output, weights)
    assert not (output / FOLDER).exists(), "what infer writes is not of the submission"


def test_a_full_or_blocked_output_names_no_series(tmp_path: Path, store: Store, weights: Path) -> None:
    uids = one_series(tmp_path / "in", "a")
    output = tmp_path / "out"
    call("submit", tmp_path / "in", output, weights)
    (output / uids["a"]).write_text("a file where a folder must be")
    (one,) = worked(store)
    assert (one.state, one.code) == (State.FAILED, "output_unwritable")
    assert uids["a"] not in one.sentence
    assert str(output) in one.sentence


def test_other_weights_than_those_submitted_are_refused(tmp_path: Path, store: Store) -> None:
    weights = inputs.fresh_weights(tmp_path / "w.safetensors")
    one_series(tmp_path / "in", "a")
    call("submit", tmp_path / "in", tmp_path / "out", weights)
    inputs.fresh_weights(weights, threshold=0.5)
    (one,) = worked(store)
    assert (one.state, one.code) == (State.FAILED, "weights_changed")


def test_a_job_of_a_former_submission_leaves_the_series_to_the_later_one(
    tmp_path: Path, store: Store, weights: Path
) -> None:
    one_series(tmp_path / "in", "a")
    output = tmp_path / "out"
    call("submit", tmp_path / "in", output, weights, "submit.deadline_h=100")
    (former,) = jobs(store)
    assert former.deadline is not None
    first = next((tmp_path / "in" / "a").iterdir())
    os.utime(first, (1, 1))
    call("submit", tmp_path / "in", output, weights)
    results = {one.id: one.result["status"] for one in worked(store)}
    assert results.pop(former.id) == "replaced"
    assert list(results.values()) == ["accepted"]


def test_a_cancelled_series_is_missing_until_it_is_submitted_again(
    tmp_path: Path, store: Store, weights: Path
) -> None:
    uids = one_series(tmp_path / "in", "a", "b")
    call("submit", tmp_path / "in", tmp_path / "out", weights)
    cancel(store, jobs(store)[0].id)
    worked(store)
    assert len(rows(tmp_path / "out")) == 1
    call("submit", tmp_path / "in", tmp_path / "out", weights)
    assert {job(store, one.id).state for one in worked(store)} == {State.DONE}
    assert set(rows(tmp_path / "out")) == set(uids.values())


def test_a_killed_worker_s_temporary_files_go(tmp_path: Path, store: Store, weights: Path) -> None:
    uids = one_series(tmp_path / "in", "a")
    output = tmp_path / "out"
    call("submit", tmp_path / "in", output, weights)
    left = [output, output / uids["a"], output / uids["a"] / "sc", output / FOLDER]
    for folder in left:
        folder.mkdir(exist_ok=True)
        (folder / f".{'0123456789abcdef'}.part").write_bytes(b"half")
    worked(store)
    assert list(output.rglob("*.part")) == []
    call("infer", tmp_path / "in", tmp_path / "whole", weights)
    assert tree(output) == tree(tmp_path / "whole")


def test_a_wrong_input_queue_or_database_is_refused(
    tmp_path: Path,
    store: Store,
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "in").mkdir()
    assert call("submit", tmp_path / "in", tmp_path / "out", weights) == 2
    assert capsys.readouterr().err == f"triptych-nodule: {tmp_path / 'in'} holds no file to read\n"
    assert call("submit", tmp_path / "in", tmp_path / "out", weights, "submit.queue=_x") == 2
    assert '"_x" cannot name a queue' in capsys.readouterr().err
    one_series(tmp_path / "in", "a")
    monkeypatch.setenv("TRIPTYCH_JOBS", "postgresql://nobody@127.0.0.1:1/none")
    assert call("submit", tmp_path / "in", tmp_path / "out", weights) == 2
    line = capsys.readouterr().err
    assert line.startswith("triptych-nodule: the database of jobs at 127.0.0.1/none does not work (")
    assert line.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == [], "nothing is half submitted"
