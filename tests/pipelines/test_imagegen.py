"""The entry point of the image app: its stages, one line for each exit code, and wrong words refused at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.imagegen.config import SCHEDULERS as NAMED
from apps.imagegen.config import STAGES as NAMES
from apps.imagegen.config import ImagegenConfig
from core.settings.schema import walk
from pipelines.imagegen import STAGES, main
from tests.apps.imagegen.tiny import tiny_pipeline

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_pipeline(tmp_path_factory.mktemp("a model, with a comma") / "tiny")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def _generate(model: Path, *words: str) -> int:
    return main(["stage=generate", f"weights={model}", "model.device=cpu", "steps=2", "output=out", *words])


def test_stages_and_schema_agree() -> None:
    assert list(STAGES) == list(NAMES)
    assert dict(walk(ImagegenConfig))["stage"].metadata["choices"] == NAMES


@pytest.mark.parametrize("target", STAGES.values())
def test_each_stage_is_a_verb_of_the_app(target: str) -> None:
    module, _, function = target.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert f"\ndef {function}(" in Path(spec.origin).read_text(encoding="utf-8")


def test_every_scheduler_that_may_be_named_is_there() -> None:
    from apps.imagegen.models.schedulers import SCHEDULERS

    assert tuple(SCHEDULERS) == NAMED


def test_a_prompt_is_drawn_as_typed(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _generate(model, "prompt=red apple, it's (very) a=b 红", "n=2", "seed=1") == 0
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "001_red-apple-it-s-very-a-b-红_seed-1.png",
        "002_red-apple-it-s-very-a-b-红_seed-2.png",
        "pictures.json",
        "sheet.png",
    ]


def test_bad_input_is_reported_in_one_line(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert _generate(model, "prompt=red apple", "size=33x33") == 2
    assert capfd.readouterr().err == (
        "triptych-imagegen: size is 33x33; this model draws 32x32, 48x32, 32x48, 48x48\n"
    )
    assert _generate(Path("nowhere"), "prompt=red apple") == 2
    assert capfd.readouterr().err == (
        "triptych-imagegen: weights=nowhere cannot be read: No such file or directory\n"
    )
    assert not Path("out").exists()


def test_the_former_name_of_weights_still_works_and_says_so(
    model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["stage=generate", "model.device=cpu", "steps=2", "output=out", "prompt=a", f"model.path={model}"]
    assert main(words) == 0
    assert capfd.readouterr().err == (
        "note: model.path= is now called weights=; the former name goes with the next release\n"
    )
    assert main([*words, "weights=elsewhere"]) == 2
    assert "weights= and model.path= name two folders" in capfd.readouterr().err


def test_a_fault_of_ours_is_reported_without_the_prompt(
    model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("secret prompt")

    monkeypatch.setattr("apps.imagegen.pictures.png_bytes", broken)
    assert _generate(model, "prompt=secret prompt", "run_dir=record") == 3
    line = capfd.readouterr().err
    assert line.startswith("triptych-imagegen: internal fault: ZeroDivisionError at ")
    assert "secret" not in line + Path("record/log.jsonl").read_text()


def test_a_refused_prompt_among_others_is_four(model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("red apple\n" + 3000 * "x" + "\n", encoding="utf-8")
    assert _generate(model, "prompts=prompts.txt", "run_dir=record") == 4
    assert capfd.readouterr() == ("", "")
    assert Path("out/quarantine/line-0002.json").read_text().count("prompt_too_long") == 1
    assert "red apple" not in Path("record/log.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["output=o"], "say what to draw by one of prompt=, prompts=FILE and replay=PICTURE.png"),
        (
            ["output=o", "prompt=a", "prompts=b"],
            "say what to draw by one of prompt=, prompts=FILE and replay=",
        ),
        (["prompt=a"], "stage=generate needs output"),
        (["output=o", "prompt=a", "n=0"], "n=0 is out of range: allowed is 1 to 1000 pictures"),
        (["output=o", "prompt=a", "n=1000000"], "n=1000000 is out of range"),
        (["output=o", "prompt=a", "guidance=nan"], "guidance=nan is out of range: allowed is 0 to 30"),
        (
            ["output=o", "prompt=a", "scheduler=plms"],
            "scheduler=plms is not one of ddim, ddpm, euler, euler_a",
        ),
        (["output=o", "prompt=a", "mask=m.png"], "says where to paint in a picture: add image="),
    ],
)
def test_a_wrong_line_is_reported_before_anything_runs(
    words: list[str], line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["stage=generate", *words]) == 2
    result = capfd.readouterr().err
    assert result.startswith("triptych-imagegen: ")
    assert line in result
    assert result.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_wrong_word_is_reported_in_two_seconds_and_loads_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom pipelines.imagegen import main\n"
        "code = main(['stage=generate', 'prompt=a', 'output=o', 'guidence=3'])\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'peft', 'fastapi', 'PIL'} & set(sys.modules)\n"
        "print(code, sorted(heavy))\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 []\n"
    assert done.stderr == 'triptych-imagegen: unknown field "guidence"; did you mean "guidance"?\n'
    assert time.monotonic() - start < 10.0, "2 s where the processor is free"
