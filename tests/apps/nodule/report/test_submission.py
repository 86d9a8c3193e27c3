"""The records of a submission: what counts as done, and a summary that several write at once."""

from __future__ import annotations

import csv
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from apps.nodule.report.submission import FOLDER, Submission, Submitted, digest_of, forget_submission
from apps.nodule.report.summary import SUMMARY_COLUMNS
from core.errors import InputError


def row(name: str, status: str = "skipped") -> dict[str, Any]:
    return {**dict.fromkeys(SUMMARY_COLUMNS, ""), "series": name, "status": status}


def entries(count: int) -> list[Submitted]:
    return [Submitted(f"s{number}", f"{number:032x}", "dicom", (f"{number}/1",)) for number in range(count)]


def listed(output: Path) -> list[str]:
    with (output / "summary.csv").open(encoding="utf-8", newline="") as stream:
        return [line["series"] for line in csv.DictReader(stream)]


def test_the_list_of_series_is_read_as_it_was_written(tmp_path: Path) -> None:
    submission = Submission(tmp_path)
    one = Submitted("1.2.3", "ab" * 16, "dicom", ("a/1", "b\udcff"))
    submission.begin(Path("/in"), [one])
    assert submission.read() == (Path("/in"), [one])
    with pytest.raises(InputError, match="does not hold the list of submitted series") as caught:
        Submission(tmp_path / "other").read()
    assert caught.value.code == "submission_missing"
    forget_submission(tmp_path)
    forget_submission(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_a_series_is_settled_while_its_results_are_there(tmp_path: Path) -> None:
    submission, (skipped, accepted, set_aside, later) = Submission(tmp_path), entries(4)
    submission.begin(tmp_path, [skipped, accepted, set_aside, later])
    assert submission.row(skipped) is None
    submission.settle(skipped, row("s0"))
    submission.settle(accepted, row("s1", "accepted"))
    submission.settle(set_aside, row("s2", "quarantined"))
    submission.settle(later, row("s3"), final=False)
    assert submission.row(skipped) == row("s0")
    assert [submission.row(one) for one in (accepted, set_aside, later)] == [None] * 3
    for path in (tmp_path / "s1" / "report.json", tmp_path / "quarantine" / "s2.json"):
        path.parent.mkdir()
        path.touch()
    assert submission.row(accepted) == row("s1", "accepted")
    assert submission.row(set_aside) == row("s2", "quarantined")
    assert submission.assemble() == (4, 4)
    assert listed(tmp_path) == ["s0", "s1", "s2", "s3"]
    submission.begin(tmp_path, [accepted])
    assert submission.assemble() == (1, 1)
    assert listed(tmp_path) == ["s1"]
    submission.begin(tmp_path, [skipped, accepted])
    assert submission.row(skipped) is None, "its record went with the submission that it was of"


def test_of_many_who_write_the_summary_at_once_none_loses_a_row(tmp_path: Path) -> None:
    series = entries(24)
    Submission(tmp_path).begin(tmp_path, series)
    together = threading.Barrier(len(series), timeout=60)
    faults: list[BaseException] = []

    def work(one: Submitted) -> None:
        submission = Submission(tmp_path)
        together.wait()
        try:
            submission.settle(one, row(one.id))
            submission.assemble()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(one,)) for one in series]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert listed(tmp_path) == [one.id for one in series]
    assert list(tmp_path.rglob("*.part")) == []


def test_a_digest_changes_with_the_files_and_the_settings(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    os.utime(tmp_path / "a", ns=(1, 1))

    def digest(**settings: int) -> str:
        return digest_of(tmp_path, "s", ("a",), settings)

    first = digest(x=1)
    assert (first, len(first)) == (digest(x=1), 32)
    seen = {first, digest(x=2), digest_of(tmp_path, "t", ("a",), {"x": 1})}
    os.utime(tmp_path / "a", ns=(1, 2))
    seen.add(digest(x=1))
    (tmp_path / "a").unlink()
    seen.add(digest(x=1))
    assert len(seen) == 5
