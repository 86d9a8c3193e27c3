"""Lazy public names: nothing is imported before its first use, and types and run time name the same."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("imagegen", "nodule", "risk")
INIT = """\
from typing import TYPE_CHECKING

from core.api import lazy_names

if TYPE_CHECKING:
    from lazy_package.shapes import Square as Square
else:
    __getattr__, __dir__, __all__ = lazy_names(__name__, {"Square": "lazy_package.shapes"})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = tmp_path / "lazy_package"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT)
    (folder / "shapes.py").write_text("class Square:\n    sides = 4\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "lazy_package"
    for name in [name for name in sys.modules if name.partition(".")[0] == "lazy_package"]:
        del sys.modules[name]


def test_a_name_is_imported_when_it_is_first_used(package: str) -> None:
    module = importlib.import_module(package)
    assert "lazy_package.shapes" not in sys.modules
    assert module.Square.sides == 4
    assert "lazy_package.shapes" in sys.modules
    assert vars(module)["Square"] is module.Square


def test_dir_and_all_list_the_names_without_importing_them(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == ["Square"]
    assert {"Square", "__name__"} <= set(dir(module))
    assert "lazy_package.shapes" not in sys.modules


def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="module 'lazy_package' has no attribute 'Circle'") as caught:
        _ = module.Circle
    assert (caught.value.name, caught.value.obj) == ("Circle", module)


def _typed_names(path: Path) -> dict[str, str]:
    """Return name → module of the imports that only a type checker sees."""
    return {
        alias.asname or alias.name: str(node.module)
        for block in ast.parse(path.read_text("utf-8")).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("app", APPS)
def test_an_app_names_the_same_for_types_and_at_run_time(app: str) -> None:
    path = ROOT / "apps" / app / "__init__.py"
    module = importlib.import_module(f"apps.{app}")
    typed = _typed_names(path)
    assert len(typed) > 2
    assert sorted(typed) == module.__all__
    for name, home in typed.items():
        assert name in _defined(home), f"{home} itself defines {name}"
    modules = {item.stem for item in path.parent.iterdir() if item.suffix in ("", ".py")}
    assert modules & set(typed) == set(), "a module of this name would hide the public object"
    (listed,) = _listed_names(path)
    assert listed == typed, "each name is listed once for types and once for run time, with the same module"


def _defined(module: str) -> dict[str, str]:
    """Return the functions and classes that a module defines, each with its docstring, without importing it."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8"))
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def _listed_names(path: Path) -> list[dict[str, str]]:
    """Return the tables name → module that a package gives to `lazy_names`, as they are written."""
    return [
        ast.literal_eval(call.args[1])
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "lazy_names"
    ]


@pytest.mark.parametrize("app", APPS)
def test_an_app_has_a_short_list_of_documented_names_with_types(app: str) -> None:
    """Every name has a docstring of its own, and a function an example; tests/apps/<app>/test_api.py runs them."""
    folder = ROOT / "apps" / app
    (listed,) = _listed_names(folder / "__init__.py")
    assert 3 <= len(listed) <= 15
    assert (folder / "py.typed").exists()
    assert importlib.import_module(f"apps.{app}").__doc__
    docstrings = {name: _defined(home)[name] for name, home in listed.items()}
    assert {name for name, text in docstrings.items() if not text} == set()
    functions = {name: text for name, text in docstrings.items() if name.islower()}
    assert len(functions) >= 3
    assert {name for name, text in functions.items() if ">>> " not in text} == set()


@pytest.mark.parametrize("app", APPS)
def test_importing_an_app_imports_nothing_heavy(app: str) -> None:
    code = (
        f"import sys, apps.{app}; print(sorted({{'torch', 'numpy', 'hydra', 'pandas'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
