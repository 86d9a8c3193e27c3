from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.nodule.config import NoduleConfig
from core.cli.stages import _extra_of, run_stage, to_yaml, worst
from tests.core.verbs import CANARY

STOPPED = "triptych-nodule: stopped by {}; nothing is kept to resume from: run the same command again\n"


def lines(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]


def run(verb: str, tmp_path: Path, **fields: Any) -> int:
    config = NoduleConfig(stage="infer", seed=3, run_dir=str(tmp_path / "run"), **fields)
    return run_stage("nodule", config, {"infer": f"tests.core.verbs:{verb}"})


def test_a_stage_leaves_a_whole_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("done", tmp_path, input="${x}") == 0
    folder = tmp_path / "run"
    assert sorted(x.name for x in folder.iterdir()) == [
        "config.yaml",
        "log.jsonl",
        "metrics.json",
        "provenance.json",
    ]
    assert "input: ${x}\n" in (folder / "config.yaml").read_text()
    assert json.loads((folder / "metrics.json").read_text()) == {"seed": 3}
    assert [line["event"] for line in lines(folder)] == ["started", "ran", "finished"]
    assert lines(folder)[-1]["exit_code"] == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verb", "code", "said"),
    [
        ("quarantined", 4, ""),
        ("bad_input", 2, "triptych-nodule: input does not exist\n"),
        ("refused", 2, "triptych-nodule: the only file is cut short\n"),
        ("interrupted", 130, STOPPED.format("Ctrl-C")),
        ("leaving", 130, STOPPED.format("Ctrl-C")),
        ("ctrl_c", 130, STOPPED.format("Ctrl-C")),
        ("terminated", 143, STOPPED.format("SIGTERM")),
        ("full_disk", 2, "triptych-nodule: the disk of {out} is full\n"),
        ("write_below_file", 2, "triptych-nodule: {out} lies below a file, not a folder\n"),
    ],
)
def test_each_end_has_its_code_and_at_most_one_line(
    verb: str,
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    out = tmp_path / "out"
    if verb == "write_below_file":
        out.write_text("a file")
    if verb == "ctrl_c":  # a job in the background of a shell ignores it from its start
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    assert run(verb, tmp_path, output=str(out)) == code
    assert capsys.readouterr().err == said.format(run=tmp_path / "run", out=out)
    assert lines(tmp_path / "run")[-1]["exit_code"] == code


@pytest.mark.parametrize(
    ("verb", "name"),
    [("broken", "KeyError"), ("defect", "InternalFault"), ("unreadable", "PermissionError")],
)
def test_a_fault_tells_type_and_place_never_the_message(
    verb: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(verb, tmp_path) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"triptych-nodule: internal fault: {name} at tests/core/verbs.py:")
    assert said.endswith(f"; see {tmp_path / 'run' / 'log.jsonl'}\n")
    fault = lines(tmp_path / "run")[1]
    assert (fault["event"], fault["type"]) == ("fault", name)
    assert fault["frames"][-1] == fault["where"]
    everything = said + "".join(x.read_text() for x in (tmp_path / "run").iterdir())
    assert CANARY not in everything


@pytest.mark.parametrize("target", ["tests.core.verbs:nothing", "tests.core.absent:run"])
def test_a_verb_that_is_wrong_itself_is_a_fault(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = NoduleConfig(stage="infer", run_dir=str(tmp_path / "run"))
    assert run_stage("nodule", config, {"infer": target}) == 3
    assert "internal fault: " in capsys.readouterr().err


def test_a_run_folder_that_cannot_be_made_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("a file")
    assert run("done", tmp_path) == 2
    assert capsys.readouterr().err == f"triptych-nodule: {tmp_path / 'run'} exists and is not a folder\n"


def test_a_run_folder_on_a_full_disk_is_bad_input(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(2**19))
    assert run("done", small_disk) == 2
    assert capsys.readouterr().err == f"triptych-nodule: the disk of {small_disk / 'run'} is full\n"


def test_a_disk_that_fills_up_during_the_run_is_bad_input(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fill_disk", small_disk, output=str(small_disk / "out")) == 2
    assert capsys.readouterr().err == f"triptych-nodule: the disk of {small_disk / 'out'} is full\n"


@pytest.mark.slow
def test_nothing_of_what_libraries_print_gets_out(tmp_path: Path) -> None:
    """In a process of its own, for there the real stderr is at stake."""
    script = (
        "import sys\nfrom apps.nodule.config import NoduleConfig\nfrom core.cli.stages import _extra_of, run_stage\n"
        "config = NoduleConfig(stage='infer', run_dir=sys.argv[1])\n"
        "sys.exit(run_stage('nodule', config, {'infer': 'tests.core.verbs:loud'}))"
    )
    command = [sys.executable, "-W", "default", "-c", script, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert CANARY not in done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
    counted = {
        line["module"]: line["count"] for line in lines(tmp_path / "run") if line["event"] == "withheld"
    }
    assert counted == {"pydicom": 1, "shouting": 1, "verbs": 1}
    assert CANARY not in (tmp_path / "run" / "log.jsonl").read_text()


@pytest.mark.parametrize(("name", "code"), [("LOCAL_RANK", 0), ("RANK", 143)])
def test_the_first_of_several_processes_says_what_stopped_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    monkeypatch.setenv(name, "1")
    assert run("terminated", tmp_path) == code
    assert capsys.readouterr().err == ""


def test_the_worst_of_several_jobs() -> None:
    assert [worst(codes) for codes in ([0, 0], [0, 4], [4, 2], [2, 3, 4], [3, 130], [143, 3])] == [
        0,
        4,
        2,
        3,
        130,
        143,
    ]


def test_the_config_is_written_in_the_order_of_its_fields() -> None:
    assert to_yaml(NoduleConfig(stage="infer")).splitlines()[:2] == ["stage: infer", "seed: 0"]


def test_a_package_that_is_not_installed_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_stage_of_an_extra.py").write_text("import never_installed.part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = NoduleConfig(stage="infer", run_dir=str(tmp_path / "run"))
    assert run_stage("nodule", config, {"infer": "a_stage_of_an_extra:run"}) == 2
    said = capsys.readouterr().err
    assert said == "triptych-nodule: stage=infer needs the package never_installed, which is not installed\n"


def test_the_extra_of_a_missing_package_is_named() -> None:
    assert [_extra_of(name) for name in ("fastapi", "multipart", "pytorch_forecasting", "os", "pytest")] == [
        "serve",
        "serve",
        "forecasting",
        None,
        None,
    ]
