"""Compose every shipped choice of every group, and every experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.choices import groups
from core.cli.command_line import read_command_line
from core.cli.compose import compose_jobs
from core.serving.models_config import ModelsConfig
from core.settings.schema import walk
from pipelines import imagegen, models, nodule, risk
from pipelines.demo import DemoConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
SCHEMAS = {
    "nodule": NoduleConfig,
    "risk": RiskConfig,
    "imagegen": ImagegenConfig,
    "models": ModelsConfig,
    "demo": DemoConfig,
}
# what a stage or a choice wants beside the fields that are declared as needed
MORE = {
    ("nodule", "infer"): ["weights=w"],
    ("imagegen", "generate"): ["prompt=p"],
    ("nodule", "data=folder"): ["data.volumes=v", "data.annotations=c"],
    ("risk", "data=table"): ["data.path=p"],
}


def needed(root: str, stage: str) -> list[str]:
    """Return the words of a command line with all that its stage needs."""
    fields = walk(SCHEMAS[root])
    given = [f"{path}=x" for path, field in fields if stage in field.metadata.get("needed_by", ())]
    return [f"stage={stage}", *given, *MORE.get((root, stage), [])]


def stage_of(root: str, group: str) -> str:
    """Return a stage that reads all choices of a group."""
    return {"demo": "demo", "models": "serve", "nodule": "infer" if group == "model" else "train"}.get(
        root, "train"
    )


CHOICES = [
    (root, group, choice) for root in SCHEMAS for group, choices in groups(root).items() for choice in choices
]


def test_every_root_is_known_here() -> None:
    assert sorted(path.stem for path in CONF.glob("*.yaml")) == sorted(SCHEMAS)


def test_every_file_is_a_choice_of_some_root() -> None:
    files = [path for path in CONF.rglob("*.yaml") if path.parent != CONF]
    choices = {(path.parent.name, path.stem) for path in files}
    assert len(files) >= 30
    assert choices == {(group, choice) for _, group, choice in CHOICES}


@pytest.mark.parametrize(("root", "group", "choice"), CHOICES)
def test_each_choice_composes(root: str, group: str, choice: str) -> None:
    schema, stage = SCHEMAS[root], stage_of(root, group)
    choice_named = f"{group}={choice}"
    stage = {"experiment=personalise": "personalise"}.get(choice_named, stage)
    words = [*needed(root, stage), choice_named, *MORE.get((root, choice_named), [])]
    (config,) = compose_jobs(root, schema, read_command_line(words))
    assert isinstance(config, schema)
    section = getattr(config, group, None)
    if hasattr(section, "name"):
        assert choice in (section.name, getattr(section, "size", None)), "the file's name is that in it"
    if group == "data":
        chosen = section.source if root == "nodule" else section.sample or "table"
        assert chosen == choice


@pytest.mark.parametrize(
    ("root", "stage"),
    [
        (app.__name__.rpartition(".")[2], stage)
        for app in (imagegen, models, nodule, risk)
        for stage in app.STAGES
    ],
)
def test_each_stage_composes(root: str, stage: str) -> None:
    (config,) = compose_jobs(root, SCHEMAS[root], read_command_line(needed(root, stage)))
    assert config.stage == stage


def test_the_files_hold_data_that_means_something() -> None:
    files = sorted(CONF.rglob("*.yaml"))
    assert len(files) > 10
    for path in files:
        assert yaml.safe_load(path.read_text(encoding="utf-8")), f"{path} is empty"
