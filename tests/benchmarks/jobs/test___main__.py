from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.command_line import function_of
from benchmarks.jobs.__main__ import MEASUREMENTS, main


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_has_its_function(name: str) -> None:
    assert function_of("jobs", name).__module__ == f"benchmarks.jobs.{name}"


def test_help_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in MEASUREMENTS)
    for words, said in (
        (["dance"], "'dance' is not a measurement; there are overhead, deaths"),
        (["card", "output=x"], "there is no model card of this"),
        (["deaths", "kills=many"], "kills is 'many', wanted a whole number"),
        (["deaths", "database=oracle"], "database is 'oracle', wanted sqlite or postgresql"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
    assert main(["page", f"results={tmp_path}"]) == 0
    assert (tmp_path / "README.md").exists()
