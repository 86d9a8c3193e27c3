"""The architecture, held by test: arrows, no circles, short files, the same packages, a test for each file."""

from __future__ import annotations

import ast
import functools
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("core", "apps", "pipelines")
LONGEST = 400
# File → reason why it may be longer.
LONGER: dict[str, str] = {}
# Packages that every app has; an app may lack a verb that means nothing for it, but none has another name.
FOLDERS = {"data", "models", "metrics", "report", "weights"}
# Folders of one app alone, and why it has them.
OWN_FOLDERS = {
    "imagegen": {"service"},  # both HTTP APIs and the page, behind the verb `serve`
    "nodule": {"service"},  # studies over HTTP, behind the verb `serve`
    # the rows of one date; judging forecasts against what came; scores over HTTP, behind the verb `serve`
    "risk": {"scoring", "evaluation", "service"},
}
VERBS = {"train", "evaluate"}


def _sources() -> list[Path]:
    return sorted(
        path for top in (*TOPS, "conf", "benchmarks", "docs") for path in (ROOT / top).rglob("*.py")
    )


SOURCES = _sources()
FILES = [path for path in SOURCES if path.name != "__init__.py"]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_module(path): path for path in SOURCES}


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(path: Path) -> Iterator[str]:
    """Yield our own modules that a file imports anywhere, those under TYPE_CHECKING left out."""
    tree = _tree(path)
    only_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in only_types:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name in MODULES)


GRAPH = {name: sorted(set(_imports(path)) - {name}) for name, path in MODULES.items()}


def test_there_are_files_and_imports() -> None:
    assert len(FILES) > 30
    assert sum(map(len, GRAPH.values())) > 50


def test_arrows_run_one_way() -> None:
    rank = {"core": 0, "conf": 0, "apps": 1, "pipelines": 2, "benchmarks": 3, "docs": 3}
    wrong = []
    for name, targets in GRAPH.items():
        top, *rest = name.split(".")
        for target in targets:
            other, *inside = target.split(".")
            across = top == other == "apps" and rest and inside and rest[0] != inside[0]
            if other in rank and (rank[other] > rank[top] or across):
                wrong.append(f"{name} → {target}")
    assert wrong == []


def test_no_circles() -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for target in GRAPH[name]:
            visit(target, (*path, name))
        done.add(name)

    for name in GRAPH:
        visit(name, ())
    assert len(done) == len(GRAPH)


def test_files_are_short() -> None:
    python = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in python}
    assert {name for name, length in lengths.items() if length > LONGEST} == set(LONGER)


def test_relative_imports_are_not_used() -> None:
    for path in SOURCES:
        for node in ast.walk(_tree(path)):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path


@pytest.mark.parametrize(
    "app", sorted(path.name for path in (ROOT / "apps").iterdir() if (path / "config.py").exists())
)
def test_each_app_has_the_same_packages(app: str) -> None:
    folder = ROOT / "apps" / app
    inside = {path.name for path in folder.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert inside == FOLDERS | OWN_FOLDERS.get(app, set())
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert {"config", *VERBS} <= files
    entry = ROOT / "pipelines" / f"{app}.py"
    assert entry.exists()
    assert len(entry.read_text(encoding="utf-8").splitlines()) <= 60, "an entry point fits on one screen"
    assert (ROOT / "conf" / f"{app}.yaml").exists()


def test_each_source_file_has_a_test_file() -> None:
    tables = "reasons.py"  # tests/test_reasons.py checks each
    files = [path for path in FILES if path.name != tables or path.parent.name == "core"]
    wanted = {path.relative_to(ROOT).parent / f"test_{path.name}" for path in files}
    missing = sorted(str(path) for path in wanted if not (ROOT / "tests" / path).exists())
    assert missing == []


def test_each_test_file_belongs_to_a_source_file() -> None:
    extra = {
        "test_duplicates.py",
        "test_house.py",
        "test_options.py",
        "test_public_names.py",
        "test_reasons.py",
        "pipelines/test_compose.py",
        "pipelines/test_contract.py",
        "deploy/test_cpp.py",
        "deploy/test_torchserve.py",
        "docs/test_examples.py",
        "docs/test_site.py",
        "docs/test_written_pages.py",
    }
    tests = {str(path.relative_to(ROOT / "tests")) for path in (ROOT / "tests").rglob("test_*.py")}
    # of apps/<app>/__init__.py
    extra |= {f"apps/{app}/test_api.py" for app in ("imagegen", "nodule", "risk")}
    tests = {name for name in tests - extra if not name.startswith("e2e/")}
    assert len(tests) > 30
    # A long test file may be split: test_load.py, test_load_syntaxes.py.
    measured = (ROOT / "benchmarks").rglob("*.py")
    sources = {str(path.relative_to(ROOT).parent / f"test_{path.stem}") for path in (*FILES, *measured)}
    lost = [
        name
        for name in tests
        if not any(re.match(rf"{re.escape(source)}(_\w+)?\.py$", name) for source in sources)
    ]
    assert lost == []


def test_init_files_are_empty_and_everywhere() -> None:
    # tests/core/test_api.py holds these
    public = {ROOT / "apps" / app for app in ("imagegen", "nodule", "risk")}
    for top in (*TOPS, "conf", "benchmarks", "docs"):
        folders = {path.parent for path in (ROOT / top).rglob("*") if path.suffix in (".py", ".yaml")}
        assert len(folders) >= 1
        for folder in folders:
            init = folder / "__init__.py"
            assert init.exists(), f"{folder} lacks an __init__.py"
            assert folder in public or init.read_bytes() == b"", f"{init} is not empty"


def test_there_is_no_torchvision() -> None:
    assert importlib.util.find_spec("torchvision") is None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in [*project["dependencies"], *extras, *(pin for pin in pins if not pin.startswith("#"))]:
        assert not line.lower().startswith("torchvision")


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in pins if "==" in line}
    wanted = {re.split(r"[<>=!~\[ ]", line)[0].lower() for line in [*project["dependencies"], *extras]}
    assert len(wanted) > 20
    assert wanted - pinned == set()


@pytest.mark.slow
@pytest.mark.parametrize(("switch", "code"), [("", 0), ("1", 1)])
def test_a_skipped_test_fails_where_none_may_be_skipped(switch: str, code: int, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text("utf-8"))
    (tmp_path / "test_x.py").write_text("import pytest\n\ndef test_x():\n    pytest.skip('no reason')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        # the plugins of other libraries take seconds to load, and have no part in it
        env={
            **os.environ,
            "TRIPTYCH_NO_SKIP": switch,
            "PYTHONPATH": str(ROOT),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    assert ("1 skipped tests, and none may be skipped here" in done.stdout) == bool(code)


def test_core_knows_no_domain_word() -> None:
    words = re.compile(r"nodule|hounsfield|lung|dicom|\bprompt\b|\bcredit\b", re.IGNORECASE)
    for path in (path for path in FILES if path.is_relative_to(ROOT / "core")):
        text = re.sub(r'"""[\s\S]*?"""|#.*', "", path.read_text(encoding="utf-8"))
        assert not words.search(text), f"{path}: {words.search(text)}"


def test_no_file_names_a_path_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, text=True
    )
    names = [name for name in listed.stdout.split("\0") if name]
    assert len(names) > 50
    local = re.compile(r"/(?:home|Users|root|work|mnt|workspace)/[\w.-]+")
    for name in names:
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yaml", ".txt", ".html", ".css", "") and path.is_file():
            match = local.search(path.read_text(encoding="utf-8", errors="replace"))
            assert match is None, f"{name}: {match}"
