from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

from apps.nodule.config import STAGES as NAMES
from apps.nodule.config import NoduleConfig
from core.settings.schema import walk
from pipelines.nodule import STAGES, main


def test_stages_and_schema_agree() -> None:
    assert list(STAGES) == list(NAMES)
    assert dict(walk(NoduleConfig))["stage"].metadata["choices"] == NAMES


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_a_verb_that_takes_config_and_run(stage: str) -> None:
    module, _, function = STAGES[stage].partition(":")
    assert module == f"apps.nodule.{stage}", "the file is named after the stage"
    verb = getattr(importlib.import_module(module), function)
    assert len(inspect.signature(verb).parameters) == 2


def test_the_door_reads_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["triptych-nodule", "stage=infer", "inptu=x"])
    assert main() == 2
    assert capsys.readouterr().err == 'triptych-nodule: unknown field "inptu"; did you mean "input"?\n'
    assert main(["--help"]) == 0
    assert "find nodules in every CT series of a folder" in capsys.readouterr().out
