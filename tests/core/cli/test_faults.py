"""One line for each way to be wrong; through the real composition, so that Hydra's own errors are met."""

from __future__ import annotations

import pytest

from apps.nodule.config import NoduleConfig
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.cli.faults import unknown_field
from core.errors import ConfigError

CASES = {
    "trainer.max_step=3": 'unknown field "trainer.max_step"; did you mean "trainer.max_steps"?',
    "max_steps=3": 'unknown field "max_steps"; did you mean "trainer.max_steps"?',
    "modle=compact": 'unknown field "modle"; did you mean "model"?',
    "+sede=3": 'unknown field "sede"; did you mean "seed"?',
    "++data.phantom=3": 'unknown field "data.phantom"; did you mean "data.phantoms"?',
    "trainer.max_steps=x": "trainer.max_steps wants a whole number, not 'x', here: 1 or more steps",
    "trainer.max_steps=2.5": "trainer.max_steps wants a whole number, not '2.5', here: 1 or more steps",
    "trainer.max_steps=null": "trainer.max_steps wants a whole number, here: 1 or more steps",
    "model.threshold=high": "model.threshold wants a number or null, not 'high', here: 0 to 1",
    "data.source=[a]": "data.source wants a text, here: mixed, phantoms, folder",
    "model=retina": 'unknown choice "model=retina"; did you mean "model=retinanet"? (choices: compact, retinanet)',
    "trainer=null": "trainer takes the name of one choice: default, smoke",
    "precision=[fp32,bf16]": "precision takes the name of one choice: bf16, fp32",
    "trainer.max_steps=1,2": "trainer.max_steps=1,2 gives several values: add -m to run each of them",
    "model.tile=${nope}": "model.tile: Interpolation key 'nope' not found",
    "trainer.ema_decay=1.5": (
        "trainer.ema_decay=1.5 is out of range: allowed is 0 to 0.99999; set trainer.ema_decay within it"
    ),
    "stage=": "stage= is not one of train, evaluate, infer, submit, serve, export, simulate",
    "stage=inferr": "stage=inferr is not one of train, evaluate, infer, submit, serve, export, simulate",
    "stage=infer": "stage=infer needs input (folder of DICOM files or volumes, or one volume): add input=…",
    "model=retinanet": "stage=train trains model=compact only: leave model out",
    "data=folder": "data=folder needs data.volumes: add data.volumes=…",
    "seed": "cannot read 'seed': write FIELD=VALUE",
}


@pytest.mark.parametrize("override", CASES)
def test_one_line_names_the_fault_and_the_cure(override: str) -> None:
    overrides = [override] if override.startswith("stage") else ["stage=train", override]
    with pytest.raises(ConfigError) as caught:
        compose_jobs("nodule", NoduleConfig, read_command_line(overrides))
    assert caught.value.sentence == CASES[override]


def test_a_missing_stage_is_named_with_its_choices() -> None:
    with pytest.raises(ConfigError) as caught:
        compose_jobs("nodule", NoduleConfig, read_command_line([]))
    assert caught.value.sentence == (
        "stage is missing (what to do): add stage=…, one of train, evaluate, infer, submit, serve, export, simulate"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["stage=train", "data=folder", "data.volumes=v"],
            "data=folder needs data.annotations: add data.annotations=…",
        ),
        (
            ["stage=infer", "input=i", "output=o", "model=retinanet"],
            "model=retinanet has no embedded weights: add weights=FILE, of MONAI's bundle",
        ),
        (
            ["stage=infer", "input=", "output=o"],
            "stage=infer needs input (folder of DICOM files or volumes, or one volume): add input=…",
        ),
    ],
)
def test_what_a_choice_needs_is_asked_for(words: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose_jobs("nodule", NoduleConfig, read_command_line(words))
    assert caught.value.sentence == sentence


def test_there_is_always_a_nearest_name() -> None:
    assert "did you mean" in unknown_field("ŵ", NoduleConfig).sentence
