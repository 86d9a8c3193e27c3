from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.command_line import function_of
from benchmarks.serving.__main__ import MEASUREMENTS, main


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_has_its_function(name: str) -> None:
    assert function_of("serving", name).__module__ == f"benchmarks.serving.{name}"


def test_help_and_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in MEASUREMENTS)
    for words, said in (
        (["openapi", "service=mail"], "service is 'mail'; there are nodule, risk, imagegen, models"),
        (["openapi", "seconds=soon"], "seconds is 'soon', wanted a whole number"),
        (["kills", "seconds=0"], "seconds is '0', wanted a whole number above 0"),
        (["batching", "clients=x"], "clients is 'x', wanted a whole number above 0"),
        (["overhead", "requests=x"], "requests is 'x', wanted a whole number above 0"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
    assert main(["page", f"results={tmp_path}"]) == 0
    assert (tmp_path / "README.md").exists()
