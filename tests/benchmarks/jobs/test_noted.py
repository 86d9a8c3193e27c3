from __future__ import annotations

from pathlib import Path

from benchmarks.jobs.noted import begun, made, note, nothing


def test_a_job_that_runs_twice_makes_one_file(tmp_path: Path) -> None:
    assert [note(str(tmp_path), item, 0.0) for item in (3, 5, 3)] == [3, 5, 3]
    assert begun(tmp_path) == [3, 5, 3]
    assert made(tmp_path) == {3: True, 5: True}
    (tmp_path / "made" / "5").write_bytes(b"half")
    assert made(tmp_path) == {3: True, 5: False}
    nothing()
    assert begun(tmp_path) == [3, 5, 3]
