"""Overrides that mean nothing, that contradict each other, or that Hydra's grammar cannot read."""

from __future__ import annotations

import pytest

from apps.nodule.config import NoduleConfig
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.cli.overrides import MOST_JOBS, expand
from core.errors import ConfigError

WRONG = {
    "stage=infer": "stage= is given more than once: leave all but one of them out",
    "+stage=train": "stage= is given more than once: leave all but one of them out",
    "hydra.run.dir=x": "hydra.run.dir would change nothing here: the run's folder is named by run_dir=…",
    "hydra/launcher=x": "hydra/launcher would change nothing here: the run's folder is named by run_dir=…",
    "~model": "~model removes a field, and every field is needed: write FIELD=VALUE",
    "~trainer.max_steps": "~trainer.max_steps removes a field, and every field is needed: write FIELD=VALUE",
    "~seed=0": "~seed=0 removes a field, and every field is needed: write FIELD=VALUE",
    "simulate.format=a=b": "simulate.format=a=b is not one of dicom, nifti, mhd, nrrd",
    "simulate.kernel=мягкое": "simulate.kernel=мягкое is not one of soft, standard, sharp",
    "simulate.kernel='soft": "simulate.kernel='soft is not one of soft, standard, sharp",
    "model.threshold=½": "model.threshold wants a number or null, not '½', here: 0 to 1",
    "seed=1=2": "seed wants a whole number, not '1=2', here: 0 to 4294967295",
    "model=компакт": 'unknown choice "model=компакт"; did you mean "model=retinanet"? (choices: compact, retinanet)',
    "simulate.formt=a=b": 'unknown field "simulate.formt"; did you mean "simulate.format"?',
    "=3": "cannot read '=3': write FIELD=VALUE",
    "a,b": "cannot read 'a,b': write FIELD=VALUE",
}


def compose(*words: str) -> list[NoduleConfig]:
    return compose_jobs("nodule", NoduleConfig, read_command_line(words))


@pytest.mark.parametrize("override", WRONG)
def test_what_cannot_be_meant_is_named(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("stage=train", override)
    assert caught.value.sentence == WRONG[override]


@pytest.mark.parametrize(
    "sweep",
    [
        "seed=glob(*)",
        "model=glob(*)",
        "seed=range(0,1,0)",
        "model=range(0,1,0)",
        "seed=range(0,10,-1)",
        "seed=range(3,3)",
        "seed=interval(0,1)",
        "seed=choice(1,2),3",
        "seed=range(0,1,0.0)",
    ],
)
def test_a_sweep_without_values_is_refused(sweep: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose("-m", "stage=train", sweep)
    assert caught.value.sentence == f"{sweep} cannot be swept: write its values one by one, with commas"


def test_a_sweep_of_too_many_jobs_is_refused_before_they_are_counted() -> None:
    for words in (["seed=range(1000000000)"], ["seed=range(1000)", "trainer.max_steps=range(1,1000)"]):
        with pytest.raises(ConfigError, match=f"the sweep has more than {MOST_JOBS} jobs"):
            expand(words)


def test_sweeps_with_values_stand() -> None:
    assert expand(["seed=choice(1,2)", "a=3"]) == [["seed=1", "a=3"], ["seed=2", "a=3"]]
    assert [jobs[0] for jobs in expand(["seed=range(3)"])] == ["seed=0", "seed=1", "seed=2"]
    assert [jobs[0] for jobs in expand(["seed=sort(3,1)"])] == ["seed=1", "seed=3"]


@pytest.mark.parametrize(
    "word",
    [
        "data.volumes=https://me:hunter2@archive/ct",
        "data.volume=https://me:hunter2@archive/ct",
        "https://me:hunter2@archive/ct",
        "seed=https://me:hunter2@archive/ct",
        "+weights=https://archive/w?token=hunter2",
    ],
)
def test_a_password_is_refused_wherever_it_stands(word: str) -> None:
    for line in ((word, "stage=train"), ("-m", "stage=train", word), ("stage=train", word, "--cfg", "job")):
        with pytest.raises(ConfigError, match="holds a password") as caught:
            compose(*line)
        assert "hunter2" not in caught.value.sentence
