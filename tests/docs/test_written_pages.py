"""What people wrote stays true: commands compose, links lead somewhere, paths exist, Python is valid."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.command_line import read_command_line
from core.cli.main import compose_jobs

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {"nodule": NoduleConfig, "risk": RiskConfig, "imagegen": ImagegenConfig}
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
# A page's folder → the app that its bare `stage=…` words are of.
FOLDERS = {"radiology": "nodule", "risk": "risk", "images": "imagegen"}
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*(ROOT / name for name in TOP), *sorted((ROOT / "docs").rglob("*.md"))]
}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:triptych-|-m pipelines\.)(nodule|risk|imagegen) (.*stage=.*)")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (name, body)
        for name, text in PAGES.items()
        for named, body in BLOCK.findall(text)
        if named == language
    ]


def commands() -> list[tuple[str, str]]:
    """Each command of the code blocks, and each `stage=…` in inline code: (app, its words)."""
    lines = [
        line
        for language in ("", "ini")
        for _, body in blocks(language)
        for line in body.replace("\\\n", " ").splitlines()
    ]
    composed = {
        (match[1], re.sub(r"\s+#.*", "", match[2])) for line in lines if (match := COMMAND.search(line))
    }
    for name, text in PAGES.items():
        app = next((app for folder, app in FOLDERS.items() if name.startswith(f"docs/{folder}/")), None)
        if app:
            composed |= {(app, words) for words in re.findall(r"`(stage=\w+ [^`…]+)`", text)}
    return sorted(composed)


def test_there_are_commands_of_every_app() -> None:
    assert len(commands()) > 30
    assert {app for app, _ in commands()} == set(SCHEMAS)


@pytest.mark.parametrize(("app", "words"), commands())
def test_a_command_of_the_documentation_composes(app: str, words: str) -> None:
    jobs = compose_jobs(app, SCHEMAS[app], read_command_line(shlex.split(words)))
    assert all(job.stage in words for job in jobs)
    assert jobs


@pytest.mark.parametrize("name", TOP)
def test_links_to_files_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", PAGES[name])
    assert len(targets) >= {"README.md": 20, "CONTRIBUTING.md": 1}.get(name, 0)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_paths_named_in_the_guides_exist() -> None:
    for name in (
        "CONTRIBUTING.md",
        "docs/python/extending.md",
        "docs/risk/validators.md",
        "docs/radiology/pacs.md",
    ):
        paths = re.findall(r"`((?:apps|core|pipelines|conf|docs|tests|benchmarks)/[\w./-]+)`", PAGES[name])
        assert paths, name
        assert [path for path in paths if not (ROOT / path).exists()] == [], name


def test_python_examples_are_valid() -> None:
    examples = blocks("python")
    assert len(examples) >= 4
    for name, body in examples:
        ast.parse(body, filename=name)
