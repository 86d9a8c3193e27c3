"""Reason codes stand in tables: none at a raise site, each once in an app and the core, each used."""

from __future__ import annotations

import ast
import importlib
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.reasons import Reasons

ROOT = Path(__file__).resolve().parents[1]
APPS = sorted(path.parent.name for path in (ROOT / "apps").glob("*/config.py"))
SOURCES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
    for top in ("core", "apps", "pipelines")
    for path in sorted((ROOT / top).rglob("*.py"))
}
TABLES = {name: tree for name, tree in SOURCES.items() if name.endswith("/reasons.py")}


def _is_text(node: ast.expr | None) -> bool:
    """Whether an expression is a literal text, or builds one."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _errors() -> set[str]:
    """The names of TriptychError and all that is derived from it."""
    classes = [node for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names: set[str] = set()
    more = {"TriptychError"}
    while more - names:
        names |= more
        more = {one.name for one in classes if names & {_name(base) for base in one.bases}}
    return names


def _tables(module: str) -> dict[str, Reasons]:
    content = vars(importlib.import_module(module))
    return {name: value for name, value in content.items() if isinstance(value, Reasons)}


def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


REASONS = {_module(path): _tables(_module(path)) for path in TABLES}


def test_no_code_or_sentence_stands_at_a_raise_site() -> None:
    errors = _errors()
    assert len(errors) >= 5
    literal = {
        f"{path}:{call.lineno}"
        for path, tree in SOURCES.items()
        if path not in TABLES
        for call in _calls(tree)
        if _name(call.func) in errors and any(_is_text(argument) for argument in call.args[:2])
    }
    assert literal == set()


def test_a_raise_site_names_a_code_of_its_table_and_fills_in_its_values() -> None:
    checked, wrong = 0, []
    for path, tree in SOURCES.items():
        known = {
            alias.asname or alias.name: REASONS[node.module][alias.name]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in REASONS
            for alias in node.names
            if alias.name in REASONS[node.module]
        }
        for call in _calls(tree):
            table = known.get(_name(call.func))
            if isinstance(call.func, ast.Attribute):
                table = known.get(_name(call.func.value)) if call.func.attr == "sentence" else None
            if table is None or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            code = call.args[0].value
            given = {keyword.arg for keyword in call.keywords}
            wanted = _fields(table.sentences.get(code, ""))
            # a table of its own kind of error may take more, such as the field at fault
            matches = wanted <= given and (given == wanted or type(table) is not Reasons)
            if code not in table.sentences or not (matches or None in given):
                wrong.append(f"{path}:{call.lineno} {code}")
            checked += 1
    assert wrong == []
    assert checked > 30


def _fields(sentence: str) -> set[str]:
    names = [name for _, name, _, _ in string.Formatter().parse(sentence) if name]
    return {name.partition(".")[0].partition("[")[0] for name in names}


@pytest.mark.parametrize("app", APPS)
def test_each_code_has_one_sentence_in_an_app_and_the_core(app: str) -> None:
    ours = [name for name in REASONS if name.startswith(("core.", "pipelines.", f"apps.{app}."))]
    codes = Counter(code for name in ours for table in REASONS[name].values() for code in table.sentences)
    assert len(codes) > 30
    assert [code for code, count in codes.items() if count > 1] == []


def test_each_code_is_used() -> None:
    used = {
        node.value
        for path, tree in SOURCES.items()
        if path not in TABLES
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    codes = {code for tables in REASONS.values() for table in tables.values() for code in table.sentences}
    assert codes - used == set()


def test_each_table_says_what_is_refused() -> None:
    tables = [(name, table) for name, tables in REASONS.items() for table in tables.values()]
    assert len(tables) >= 10
    for name, table in tables:
        assert table.about.strip() == table.about != "", name
        assert all(sentence.strip() == sentence != "" for sentence in table.sentences.values()), name
