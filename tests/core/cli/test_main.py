from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from core.cli.main import run_command

STAGES = {
    "train": "tests.core.verbs:done",
    "evaluate": "tests.core.verbs:quarantined",
    "infer": "tests.core.verbs:done",
    "simulate": "tests.core.verbs:broken",
}
# What must not be imported before the config is checked.
HEAVY = (
    "torch",
    "monai",
    "lightning",
    "SimpleITK",
    "pandas",
    "matplotlib",
    "scipy",
    "numpy",
    "pydicom",
    "highdicom",
)


def door(*words: str) -> int:
    return run_command("nodule", "nodule", NoduleConfig, STAGES, words)


def test_a_fault_in_any_job_of_a_sweep_stops_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert door("-m", "stage=train", "seed=1,x") == 2
    assert "seed wants a whole number, not 'x'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_worst_job_gives_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = {"train": "tests.core.verbs:by_seed"}
    for seeds, code in (("0,4", 4), ("4,3", 3)):
        assert (
            run_command("nodule", "nodule", NoduleConfig, stages, ["-m", "stage=train", f"seed={seeds}"])
            == code
        )
    assert len(list((tmp_path / "runs" / "nodule" / "train").iterdir())) == 4
    assert [x.name for x in tmp_path.iterdir()] == ["runs"], "Hydra makes no folders of its own"


@pytest.mark.slow
def test_an_interruption_ends_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = {"train": "tests.core.verbs:interrupted"}
    assert run_command("nodule", "nodule", NoduleConfig, stages, ["-m", "stage=train", "seed=1,2"]) == 130
    assert len(list((tmp_path / "runs" / "nodule" / "train").iterdir())) == 1


def test_the_composed_config_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert door("stage=infer", "output=o", "input=${x}, 肺", "--cfg", "job") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["input"] == "${x}, 肺"
    assert shown["trainer"]["max_steps"] == 10000


@pytest.mark.parametrize(
    "text",
    [
        "seed: ${oc.env:SECRET}",
        "weights: ${oc.env:SECRET}",
        "data: {volumes: 'a/${oc.env:SECRET}'}",
        "weights: ${oc.decode:${oc.env:SECRET}}",
        "weights: ${oc.env:NOT_SET,${oc.env:SECRET}}",
    ],
)
def test_the_environment_is_neither_shown_nor_recorded(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "hunter2")
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text(f"# @package _global_\n{text}\n")
    for more in ([], ["--cfg", "job"]):
        assert door("--config-dir", str(tmp_path), "experiment=own", "stage=train", *more) == 2
        shown = "".join(capsys.readouterr())
        assert "${oc.env:SECRET} would record the value of a variable" in shown or "NOT_SET" in shown
        assert "hunter2" not in shown
    assert [path.name for path in tmp_path.iterdir()] == ["experiment"]
    assert OmegaConf.create({"home": "${oc.env:SECRET}"}).home == "hunter2", "others may still use it"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "name"),
    [("infer", "input"), ("infer", "weights"), ("train", "weights"), ("train", "data.real")],
)
def test_a_path_that_leads_nowhere_is_refused_before_the_run_begins(
    stage: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    more = [] if stage == "train" else ["output=out"] if name == "input" else ["output=out", "input=."]
    assert door(f"stage={stage}", *more, f"{name}=no/such file") == 2
    assert f"triptych-nodule: {name}=no/such file cannot be read: No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    if name != "input":
        assert door(f"stage={stage}", *more, f"{name}=") == 0, "nothing is no path"


def test_a_fault_of_a_config_class_is_recorded_with_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @dataclass
    class Broken(NoduleConfig):
        def __post_init__(self) -> None:
            len(self.seed)  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    assert run_command("nodule", "nodule", Broken, STAGES, ["stage=train"]) == 3
    line = capsys.readouterr().err
    assert line.startswith("triptych-nodule: internal fault: TypeError at tests/core/cli/test_main.py:")
    assert line.count("\n") == 1
    (log,) = tmp_path.glob("runs/nodule/config/*/log.jsonl")
    assert str(log.relative_to(tmp_path)) in line
    (fault,) = (json.loads(text) for text in log.read_text().splitlines())
    assert fault["type"] == "TypeError"
    assert fault["frames"][-1].startswith("tests/core/cli/test_main.py:")


@pytest.mark.slow
def test_bytes_that_are_not_utf8_are_for_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"caf\xe9")
    (tmp_path / odd).mkdir()
    assert door("stage=infer", f"input={odd}", "output=out", f"run_dir={odd}/run") == 0
    recorded = tmp_path / odd / "run"
    assert yaml.safe_load((recorded / "config.yaml").read_text("utf-8"))["input"] == odd
    monkeypatch.setattr(sys, "argv", ["triptych-nodule", f"input={odd}"])
    assert door("stage=infer", f"input={odd}", "output=out", f"run_dir={odd}/run") == 0
    assert json.loads((recorded / "provenance.json").read_text("utf-8"))["command"][1] == f"input={odd}"
    words = ["stage=generate", f"prompt={odd}", "output=out"]
    assert (
        run_command("imagegen", "imagegen", ImagegenConfig, {"generate": "tests.core.verbs:done"}, words) == 2
    )
    assert (
        capsys.readouterr().err
        == "triptych-imagegen: prompt holds a byte that is not UTF-8: only a path may\n"
    )


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert door("--help") == 0
    assert "triptych-nodule stage=STAGE" in capsys.readouterr().out
    assert door("--version") == 0
    assert capsys.readouterr().out.startswith("triptych-nodule ")


def test_a_wrong_field_costs_one_line_and_no_heavy_import() -> None:
    script = (
        "import json, sys\nfrom pipelines.nodule import main\n"
        "code = main(['stage=train', 'trainer.max_step=3'])\n"
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(done.stdout) == [2, []]
    assert (
        done.stderr
        == 'triptych-nodule: unknown field "trainer.max_step"; did you mean "trainer.max_steps"?\n'
    )
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 2, "of processor time: the machine may have other work"
