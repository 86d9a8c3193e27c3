"""Options and the stages that read them: what is declared is what the code does, as far as its text shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig
from core.settings.schema import stages_by_field, walk
from tests.test_house import GRAPH, MODULES

SCHEMAS = {"imagegen": ImagegenConfig, "nodule": NoduleConfig, "risk": RiskConfig}
STAGES = [(app, stage) for app, schema in SCHEMAS.items() for stage in stages_by_field(schema)["stage"]]


def _reached(app: str, stage: str) -> set[str]:
    """Return the modules of an app that its verb imports, directly or not, and the verb itself."""
    waiting, seen = [f"apps.{app}.{stage}"], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [other for other in GRAPH[name] if other.startswith(f"apps.{app}.")]
    return seen - {f"apps.{app}.config"}


def _chains(module: str) -> Iterator[str]:
    """Yield what a module reads of its config: a.b for cfg.a.b or config.a.b."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            root, *path = ast.unparse(node).split(".")
            if root in ("cfg", "config"):
                yield ".".join(path)


@pytest.mark.parametrize(("app", "stage"), STAGES)
def test_a_verb_reads_no_option_that_is_not_declared_for_its_stage(app: str, stage: str) -> None:
    readers = stages_by_field(SCHEMAS[app])
    read = {name for name in _chains(f"apps.{app}.{stage}") if name in readers}
    assert read, "the verb reads some option"
    assert {name for name in read if stage not in readers[name]} == set()


@pytest.mark.parametrize(("app", "stage"), STAGES)
def test_an_option_that_is_declared_for_a_stage_is_read_by_it(app: str, stage: str) -> None:
    """Its own name stands in a module that the verb reaches, or in the core: as an attribute, or as a word."""
    modules = [
        *_reached(app, stage),
        f"pipelines.{app}",
        *(name for name in MODULES if name.startswith("core.")),
    ]
    text = "\n".join(MODULES[name].read_text(encoding="utf-8") for name in modules)
    declared = [name for name, stages in stages_by_field(SCHEMAS[app]).items() if stage in stages]
    assert len(declared) >= 4
    names = {name: name.rpartition(".")[2] for name in declared}
    assert [name for name, last in names.items() if not re.search(rf"[.\"']{last}\b", text)] == []


@pytest.mark.parametrize(("app", "stage"), [("imagegen", "generate"), ("nodule", "infer"), ("risk", "score")])
def test_weights_name_what_was_trained_in_every_app(app: str, stage: str) -> None:
    (field,) = (field for path, field in walk(SCHEMAS[app]) if path == "weights")
    assert field.metadata["path"]
    assert field.default is None
    assert stage in stages_by_field(SCHEMAS[app])["weights"]
