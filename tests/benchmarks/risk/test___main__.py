"""The command line of the risk measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.risk import __main__ as command
from benchmarks.risk.__main__ import MEASUREMENTS, function_of, main


def test_every_measurement_has_its_function_and_defaults() -> None:
    for name in MEASUREMENTS:
        assert callable(function_of(name))
        assert f"\n  {name} " in (command.__doc__ or "")


def test_a_measurement_leaves_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(days: str = "5", part: str = "test", weights: str = "") -> dict[str, Any]:
        return {"headline": {"days": days}, "seen": 1}

    monkeypatch.setattr(command, "function_of", lambda name: run)
    assert main(["markets", "days=3", "weights=/a/b/w", f"results={tmp_path}"]) == 0
    record = json.loads(Path(capsys.readouterr().out.strip()).read_text("utf-8"))
    assert record["theme"] == "risk-markets"
    assert record["command"] == "python -m benchmarks.risk markets days=3 weights=w"
    assert (record["headline"], record["results"]) == ({"days": "3"}, {"seen": 1})
    assert main(["markets", "part=development", f"results={tmp_path}"]) == 0
    assert Path(capsys.readouterr().out.strip()).name.startswith("risk-markets-development_")
    assert main(["page", f"results={tmp_path}"]) == 0
    assert "days: **3**" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["weather"], "'weather' is not a measurement; there are training, markets"),
        (["training", "colour=red"], "'colour' is not an option; there are results, run"),
        (["training"], "add run=DIR"),
        (["card"], "add output=FILE"),
    ],
)
def test_what_is_wrong_is_reported_in_one_line(
    words: list[str], result: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, f"results={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith(result)


def test_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main([]), main(["--help"])) == (2, 0)
    assert capsys.readouterr().out.count("measurements:") == 2
