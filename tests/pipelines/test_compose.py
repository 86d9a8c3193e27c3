"""Compose every shipped choice of every group, and every experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.command_line import read_command_line
from core.cli.main import compose_jobs
from core.cli.usage import groups
from pipelines import nodule, risk
from pipelines.demo import DemoConfig

CONF = Path(__file__).resolve().parents[2] / "conf"
# root file → (schema, what each stage needs on the command line)
ROOTS = {
    "nodule": (
        NoduleConfig,
        [
            "input=i",
            "output=o",
            "predictions=p",
            "annotations=a",
            "seriesuids=s",
            "weights=w",
            "data.volumes=v",
            "data.annotations=c",
        ],
    ),
    "risk": (RiskConfig, ["output=o"]),
    "imagegen": (ImagegenConfig, ["output=o", "prompt=p", "images=i", "token=t"]),
    "demo": (DemoConfig, []),
}
CHOICES = [
    (root, group, choice) for root in ROOTS for group, choices in groups(root).items() for choice in choices
]


def test_every_root_is_known_here() -> None:
    assert sorted(path.stem for path in CONF.glob("*.yaml")) == sorted(ROOTS)


def test_every_file_is_a_choice_of_some_root() -> None:
    files = [path for path in CONF.rglob("*.yaml") if path.parent != CONF]
    found = {(path.parent.name, path.stem) for path in files}
    assert len(files) >= 30
    assert found == {(group, choice) for _, group, choice in CHOICES}


@pytest.mark.parametrize(("root", "group", "choice"), CHOICES)
def test_each_choice_composes(root: str, group: str, choice: str) -> None:
    schema, needed = ROOTS[root]
    words = [*needed, f"{group}={choice}"]
    words.append("stage=infer" if root == "nodule" else "stage=train")
    words += ["data.path=p"] if (root, group, choice) == ("risk", "data", "table") else []
    (config,) = compose_jobs(root, schema, read_command_line(words))
    assert isinstance(config, schema)
    section = getattr(config, group, None)
    if hasattr(section, "name"):
        assert choice in (section.name, getattr(section, "size", None)), "the file's name is that in it"
    if group == "data":
        found = section.source if root == "nodule" else section.sample or "table"
        assert found == choice


@pytest.mark.parametrize(
    ("root", "stage"),
    [("nodule", stage) for stage in nodule.STAGES] + [("risk", stage) for stage in risk.STAGES],
)
def test_each_stage_composes(root: str, stage: str) -> None:
    schema, needed = ROOTS[root]
    (config,) = compose_jobs(root, schema, read_command_line([f"stage={stage}", *needed]))
    assert config.stage == stage


def test_the_files_hold_data_that_means_something() -> None:
    files = sorted(CONF.rglob("*.yaml"))
    assert len(files) > 10
    for path in files:
        assert yaml.safe_load(path.read_text(encoding="utf-8")), f"{path} is empty"
