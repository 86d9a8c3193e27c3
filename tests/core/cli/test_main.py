from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from core.cli.command_line import read_command_line
from core.cli.main import compose_jobs, run_command
from core.errors import ConfigError
from core.settings.schema import walk

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


def compose(*words: str, parts: Sequence[str] = ()) -> list[NoduleConfig]:
    return compose_jobs("nodule", NoduleConfig, read_command_line(words), parts)


def door(*words: str) -> int:
    return run_command("nodule", "nodule", NoduleConfig, STAGES, words)


TYPED = st.text(st.characters(exclude_characters="\0"), max_size=40) | st.text(
    "'\"\\${}[](),=: ~?!#%\t\n", max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TYPED, TYPED)
@example('a, b (c) d\'s "e" = f', "\\")
@example("${seed}", "${oc.env:HOME}")
@example("\\${seed}\\", "???")
@example("", "null")
@example("肺结节, 右上叶", "[1,2]")
@example("{a: 1}", "'quoted'")
@example(" both ends ", "$HOME/\udcff")
def test_free_text_survives_as_typed(first: str, second: str) -> None:
    (config,) = compose("stage=train", f"input={first}", f"data.volumes={second}")
    assert config.input == first
    assert config.data.volumes == second
    assert yaml.safe_load(yaml.safe_dump({"x": config.input}, allow_unicode=True))["x"] == first


def test_every_free_text_field_is_carried() -> None:
    paths = [path for path, field in walk(NoduleConfig) if field.metadata["free_text"]]
    assert {"input", "output", "run_dir", "weights", "predictions", "annotations", "excluded"} <= set(paths)
    assert {"seriesuids", "data.volumes", "data.annotations", "data.real", "data.cache"} <= set(paths)
    (config,) = compose("stage=train", *(f"{path}=<{path}>, ${{x}}" for path in paths))
    found = {}
    for path in paths:
        section, _, name = path.rpartition(".")
        found[path] = getattr(config.data if section == "data" else config, name)
    assert found == {path: f"<{path}>, ${{x}}" for path in paths}


def test_the_result_is_typed() -> None:
    (config,) = compose(
        "stage=infer",
        "input=i",
        "output=o",
        "model=retinanet",
        "weights=w",
        "model.threshold=1",
        "precision=bf16",
    )
    assert isinstance(config, NoduleConfig)
    assert config.model.name == "retinanet"
    assert (config.model.threshold, type(config.model.threshold)) == (1.0, float)
    assert config.trainer.precision == "bf16"


def test_a_sweep_gives_every_combination_and_each_its_own_folders() -> None:
    jobs = compose(
        "-m", "stage=infer", "input=a,b", "output=out", "weights=w", "seed=1,2", "model=compact,retinanet"
    )
    assert [(job.seed, job.model.name) for job in jobs] == [
        (1, "compact"),
        (1, "retinanet"),
        (2, "compact"),
        (2, "retinanet"),
    ]
    assert [job.output for job in jobs] == ["out/0", "out/1", "out/2", "out/3"]
    assert {job.input for job in jobs} == {"a,b"}
    assert [job.seed for job in compose("-m", "stage=train", "seed=range(3)")] == [0, 1, 2]
    assert compose("-m", "stage=infer", "input=i", "output=out")[0].output == "out"


def test_jobs_that_differ_in_a_part_of_the_output_share_it() -> None:
    words = ("-m", "stage=infer", "input=2024-01-01,2024-02-01", "weights=w", "output=out", "run_dir=run")
    jobs = compose(*words, parts=("input",))
    assert [job.input for job in jobs] == ["2024-01-01", "2024-02-01"]
    assert [job.output for job in jobs] == ["out", "out"]
    assert [job.run_dir for job in jobs] == ["run/0", "run/1"]
    jobs = compose(*words, "seed=1,2", parts=("input",))
    assert [(str(job.input)[5:7], job.seed, job.output) for job in jobs] == [
        ("01", 1, "out/0"),
        ("01", 2, "out/1"),
        ("02", 1, "out/0"),
        ("02", 2, "out/1"),
    ]
    (one,) = compose(*words[1:], parts=("input",))
    assert one.input == "2024-01-01,2024-02-01", "several values only where a sweep was asked for"


def test_a_fault_in_any_job_of_a_sweep_stops_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert door("-m", "stage=train", "seed=1,x") == 2
    assert "seed wants a whole number, not 'x'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_worst_job_gives_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("p", "a", "s"):
        (tmp_path / name).touch()
    files = ("output=o", "predictions=p", "annotations=a", "seriesuids=s")
    assert door("-m", "stage=train,evaluate", *files) == 4
    assert door("-m", "stage=evaluate,simulate", *files) == 3
    assert sorted(x.name for x in (tmp_path / "runs" / "nodule").iterdir()) == [
        "evaluate",
        "simulate",
        "train",
    ]
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a", "p", "runs", "s"], (
        "Hydra makes no folders of its own"
    )


def test_an_interruption_ends_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stages = {"train": "tests.core.verbs:interrupted"}
    assert run_command("nodule", "nodule", NoduleConfig, stages, ["-m", "stage=train", "seed=1,2"]) == 130
    assert len(list((tmp_path / "runs" / "nodule" / "train").iterdir())) == 1


def test_groups_of_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "it's, mine"
    (folder / "experiment").mkdir(parents=True)
    text = "# @package _global_\ndefaults:\n  - override /data: phantoms\nseed: 7\ntrainer: {max_steps: 3}\n"
    (folder / "experiment" / "own.yaml").write_text(text)
    (config,) = compose("--config-dir", str(folder), "experiment=own", "stage=train")
    assert (config.seed, config.data.source, config.trainer.max_steps) == (7, "phantoms", 3)
    (folder / "experiment" / "own.yaml").write_text("# @package _global_\ntrainer: {max_step: 3}\n")
    with pytest.raises(
        ConfigError, match=r'unknown field "trainer.max_step"; did you mean "trainer.max_steps"'
    ):
        compose("--config-dir", str(folder), "experiment=own", "stage=train")


def test_the_composed_config_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert door("stage=train", "input=${x}, 肺", "--cfg", "job") == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["input"] == "${x}, 肺"
    assert shown["trainer"]["max_steps"] == 10000


def test_checks_see_what_was_typed_not_a_stand_in() -> None:
    with pytest.raises(ConfigError, match="size=banana is not a size"):
        compose_jobs(
            "imagegen",
            ImagegenConfig,
            read_command_line(["stage=generate", "prompt=a", "output=o", "size=banana"]),
        )


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


@pytest.mark.parametrize(
    "word", ["seed=${oc.env:SECRET}", "experiment=${oc.env:SECRET}", "model=${oc.env:SECRET}"]
)
def test_nor_does_it_come_in_by_the_command_line(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(ConfigError) as caught:
        compose("stage=train", word)
    assert "hunter2" not in caught.value.sentence


@pytest.mark.parametrize("name", ["input", "weights", "data.real"])
def test_a_path_that_leads_nowhere_is_refused_before_the_run_begins(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        door("stage=infer", "input=.", "output=out", f"{name}=no/such file") == 2 if name != "input" else True
    )
    assert door("stage=train", f"{name}=no/such file") == 2
    assert f"triptych-nodule: {name}=no/such file cannot be read: No such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert door("stage=train", f"{name}=") == 0, "nothing is no path"


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
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds = time.monotonic() - started
    assert json.loads(done.stdout) == [2, []]
    assert (
        done.stderr
        == 'triptych-nodule: unknown field "trainer.max_step"; did you mean "trainer.max_steps"?\n'
    )
    assert seconds < 2
