"""The command line of the image measurements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.imagegen import __main__ as command
from benchmarks.imagegen.__main__ import MEASUREMENTS, function_of, main


def test_every_measurement_has_its_function_and_defaults() -> None:
    for name in MEASUREMENTS:
        assert callable(function_of(name))
        assert f"\n  {name} " in (command.__doc__ or "")


def test_a_measurement_leaves_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(pictures: str = "5", model: str = "") -> dict[str, Any]:
        return {"headline": {"pictures": pictures}, "seen": model}

    monkeypatch.setattr(command, "function_of", lambda name: run)
    assert main(["quality", "pictures=3", "model=/a/b/w", f"results={tmp_path}"]) == 0
    record = json.loads(Path(capsys.readouterr().out.strip()).read_text("utf-8"))
    assert record["theme"] == "imagegen-quality"
    assert record["command"] == "python -m benchmarks.imagegen quality pictures=3 model=w"
    assert (record["headline"], record["results"]) == ({"pictures": "3"}, {"seen": "/a/b/w"})
    assert main(["page", f"results={tmp_path}"]) == 0
    assert "pictures: **3**" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (
            ["weather"],
            f"'weather' is not a measurement; there are {', '.join([*MEASUREMENTS, 'card', 'page'])}",
        ),
        (["quality", "colour=red"], "'colour' is not an option; there are results, model, pictures"),
        (["card"], "add output=FILE"),
        (["training"], "add run=DIR"),
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
