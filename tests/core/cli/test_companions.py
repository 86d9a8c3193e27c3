"""An option that does nothing without another one is refused, where a person typed it."""

from __future__ import annotations

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.errors import ConfigError
from core.settings.schema import stages_by_field, value_at, walk

APPS = {"nodule": NoduleConfig, "risk": RiskConfig, "imagegen": ImagegenConfig}


def compose(app: str, *words: str) -> None:
    compose_jobs(app, APPS[app], read_command_line(words))


@pytest.mark.parametrize(
    ("app", "words", "sentence"),
    [
        (
            "imagegen",
            "stage=generate prompt=x output=o strength=0.5",
            "strength does nothing without image=…",
        ),
        ("imagegen", "stage=generate prompt=x output=o fit=pad", "fit does nothing without image=…"),
        ("imagegen", "stage=generate prompt=x output=o adapter_scale=2", "nothing without adapter=…"),
        ("risk", "stage=score output=o zone=Europe/Zurich", "zone does nothing without schedule=…"),
        ("risk", "stage=score output=o score.wait_h=1", "score.wait_h does nothing without schedule=…"),
        ("risk", "stage=score output=o score.sql_table=x", "nothing without score.sql=…"),
        ("risk", "stage=score output=o score={sql_table:x}", "nothing without score.sql=…"),
        ("nodule", "stage=train data.volumes=v", "data.volumes does nothing without data.source=folder"),
        (
            "nodule",
            "stage=train data.source=folder data.volumes=v data.annotations=a data.phantoms=3",
            "data.phantoms does nothing without data.source=mixed or phantoms",
        ),
    ],
)
def test_alone_it_is_refused(app: str, words: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compose(app, *words.split())
    assert sentence in raised.value.sentence


def test_with_the_other_it_is_read() -> None:
    compose("imagegen", "stage=generate", "prompt=x", "output=o", "image=i", "strength=0.5", "fit=pad")
    compose("imagegen", "stage=serve", "strength=0.5")
    compose("nodule", "stage=train", "data.source=folder", "data.volumes=v", "data.annotations=a")


@pytest.mark.parametrize("schema", APPS.values())
def test_what_a_field_depends_on_is_a_field_of_a_stage_in_common(schema: type) -> None:
    stages, fields = stages_by_field(schema), dict(walk(schema))
    for name, field in fields.items():
        other, equals, wanted = field.metadata.get("only_with", "").partition("=")
        if other:
            assert set(stages[other]) & set(stages[name]), name
            if equals:
                assert set(wanted.split("|")) < set(fields[other].metadata["choices"])
            else:
                assert value_at(schema(), other) is None
