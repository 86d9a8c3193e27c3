"""What scripts depend on is frozen: commands, stages, fields, defaults, groups, exit codes, columns, keys.

After a change that is meant: TRIPTYCH_FREEZE=1 python -m pytest tests/test_public_names.py, and a line in CHANGELOG.md.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.recipe import Recipe
from apps.nodule.config import NoduleConfig
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report import summary, tables
from apps.nodule.report.reported import reported
from apps.risk.config import RiskConfig
from apps.risk.scoring import scores
from core.cli.choices import groups
from core.errors import ExitCode
from core.serving.models_config import ModelsConfig
from core.settings.schema import walk
from pipelines import imagegen, jobs, models, nodule, risk

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "public_names.json"


def _fields(schema: type) -> dict[str, Any]:
    fields = {}
    for path, field in walk(schema):
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        fields[path] = {"type": str(field.type), "default": default}
    return fields


def _keys(content: Any) -> Any:
    """The keys of a JSON document, each with those below it; a list is shown by its first item."""
    if isinstance(content, list):
        return [_keys(item) for item in content[:1]]
    return {key: _keys(value) for key, value in content.items()} if isinstance(content, dict) else None


def _results() -> dict[str, Any]:
    """Columns and keys of what stage=infer writes, for a series with one finding and one note."""
    volume = Volume(np.zeros((3, 4, 5), np.int16), np.eye(4), "scan", notes=(("code", "A sentence."),))
    candidate = Candidate((1.0, 1.0, 1.0), 6.0, 0.9)
    finding = Finding(candidate, np.ones((1, 1, 1), bool), (1, 1, 1), 1.0)
    report = tables.report(
        volume,
        [candidate],
        reported(volume, [finding]),
        SimpleNamespace(name="compact", version="1", threshold=0.5),
    )
    return {
        "summary.csv": list(summary.SUMMARY_COLUMNS),
        "nodules.csv, candidates.csv": list(tables.COLUMNS),
        "report.json": _keys(report),
    }


def _now() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "commands": project["scripts"],
        "exit_codes": {code.name: int(code) for code in ExitCode},
        "extras": sorted(project["optional-dependencies"]),
        "imagegen": {
            "stages": list(imagegen.STAGES),
            "groups": groups("imagegen"),
            "fields": _fields(ImagegenConfig),
            "results": {"recipe": sorted(Recipe(prompt="").as_json())},
        },
        "nodule": {
            "stages": list(nodule.STAGES),
            "groups": groups("nodule"),
            "fields": _fields(NoduleConfig),
            "results": _results(),
        },
        "risk": {
            "stages": list(risk.STAGES),
            "groups": groups("risk"),
            "fields": _fields(RiskConfig),
            "results": {"scores": {field.name: str(field.type) for field in scores.LAYOUT.schema}},
        },
        "jobs": sorted(jobs.JOBS),
        "models": {"stages": list(models.STAGES), "fields": _fields(ModelsConfig)},
    }


def test_public_names_are_as_frozen() -> None:
    now = json.loads(json.dumps(_now()))
    if os.environ.get("TRIPTYCH_FREEZE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert now == json.loads(GOLDEN.read_text(encoding="utf-8")), "see this file's first lines"
