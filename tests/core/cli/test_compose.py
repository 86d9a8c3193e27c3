"""Command lines become checked configs, one for each job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import ConfigError
from core.settings.schema import stages_by_field, value_at, walk


def compose(*words: str, parts: Sequence[str] = ()) -> list[NoduleConfig]:
    return compose_jobs("nodule", NoduleConfig, read_command_line(words), parts)


TYPED = st.text(st.characters(exclude_characters="\0"), max_size=40) | st.text(
    "'\"\\${}[](),=: ~?!#%\t\n", max_size=12
)


@pytest.mark.slow
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
    needed = ("predictions=p", "annotations=a", "seriesuids=s", "output=o")
    (config,) = compose("stage=evaluate", *needed, f"run_dir={first}", f"excluded={second}")
    assert config.run_dir == first
    assert config.excluded == second
    assert yaml.safe_load(yaml.safe_dump({"x": first}, allow_unicode=True))["x"] == first


def test_every_free_text_field_is_carried() -> None:
    fields = [(path, field.metadata) for path, field in walk(NoduleConfig) if field.metadata["free_text"]]
    paths = [path for path, _ in fields]
    assert {"input", "output", "run_dir", "weights", "predictions", "annotations", "excluded"} <= set(paths)
    assert {"seriesuids", "data.volumes", "data.annotations", "data.real", "data.cache"} <= set(paths)
    stages = stages_by_field(NoduleConfig)
    for stage in stages["stage"]:
        read = [path for path, metadata in fields if stage in stages[path] and not metadata["only_with"]]
        assert len(read) >= 2
        (config,) = compose(f"stage={stage}", *(f"{path}=<{path}>, ${{x}}" for path in read))
        assert {path: value_at(config, path) for path in read} == {path: f"<{path}>, ${{x}}" for path in read}


def test_the_result_is_typed() -> None:
    (config,) = compose(
        "stage=infer",
        "input=i",
        "output=o",
        "model=retinanet",
        "weights=w",
        "model.threshold=1",
    )
    assert isinstance(config, NoduleConfig)
    assert config.model.name == "retinanet"
    assert (config.model.threshold, type(config.model.threshold)) == (1.0, float)
    (config,) = compose("stage=train", "precision=bf16")
    assert config.trainer.precision == "bf16"


@pytest.mark.slow
def test_a_sweep_gives_every_combination_and_each_its_own_folders() -> None:
    jobs = compose(
        "-m",
        *("stage=infer", "input=a,b", "output=out", "weights=w"),
        *("model.max_candidates=1,2", "model=compact,retinanet"),
    )
    assert [(job.model.max_candidates, job.model.name) for job in jobs] == [
        (1, "compact"),
        (1, "retinanet"),
        (2, "compact"),
        (2, "retinanet"),
    ]
    assert [job.output for job in jobs] == ["out/0", "out/1", "out/2", "out/3"]
    assert {job.input for job in jobs} == {"a,b"}
    assert [job.seed for job in compose("-m", "stage=train", "seed=range(3)")] == [0, 1, 2]
    assert compose("-m", "stage=infer", "input=i", "output=out")[0].output == "out"


@pytest.mark.slow
def test_jobs_that_differ_in_a_part_of_the_output_share_it() -> None:
    words = ("-m", "stage=infer", "input=2024-01-01,2024-02-01", "weights=w", "output=out", "run_dir=run")
    jobs = compose(*words, parts=("input",))
    assert [job.input for job in jobs] == ["2024-01-01", "2024-02-01"]
    assert [job.output for job in jobs] == ["out", "out"]
    assert [job.run_dir for job in jobs] == ["run/0", "run/1"]
    jobs = compose(*words, "model.max_candidates=1,2", parts=("input",))
    assert [(str(job.input)[5:7], job.model.max_candidates, job.output) for job in jobs] == [
        ("01", 1, "out/0"),
        ("01", 2, "out/1"),
        ("02", 1, "out/0"),
        ("02", 2, "out/1"),
    ]
    (one,) = compose(*words[1:], parts=("input",))
    assert one.input == "2024-01-01,2024-02-01", "several values only where a sweep was asked for"


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


def test_checks_see_what_was_typed_not_a_stand_in() -> None:
    with pytest.raises(ConfigError, match="size=banana is not a size"):
        compose_jobs(
            "imagegen",
            ImagegenConfig,
            read_command_line(["stage=generate", "prompt=a", "output=o", "size=banana"]),
        )


@pytest.mark.parametrize(
    "word", ["seed=${oc.env:SECRET}", "experiment=${oc.env:SECRET}", "model=${oc.env:SECRET}"]
)
def test_nor_does_it_come_in_by_the_command_line(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(ConfigError) as caught:
        compose("stage=train", word)
    assert "hunter2" not in caught.value.sentence


def test_null_is_no_value_where_the_help_says_what_it_means() -> None:
    (config,) = compose("stage=infer", "input=null", "output=o", "weights=null")
    assert config.weights is None
    assert config.input == "null"
    (config,) = compose("stage=infer", "input=i", "output=o", "weights=./null")
    assert config.weights == "./null"
    with pytest.raises(ConfigError, match="has no embedded weights"):
        compose("stage=infer", "input=i", "output=o", "model=retinanet", "weights=null")


def test_a_group_is_chosen_by_its_name_alone() -> None:
    (config,) = compose("stage=train", "+experiment=smoke")
    (same,) = compose("stage=train", "experiment=smoke")
    assert config == same
    with pytest.raises(ConfigError, match="a choice is made by the name of its group, trainer=NAME"):
        compose("stage=train", "trainer@foo=smoke")
