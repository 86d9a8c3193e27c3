from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import ExitCode
from docs.generate import site
from docs.generate.site import CARDS, ROOT, api_page, exit_codes_page, metrics_page, pages, undocumented


def test_each_page_has_a_title_and_a_place_under_reference() -> None:
    assert len(pages()) >= 13
    for path, make in pages().items():
        assert path.startswith("reference/")
        assert path.endswith(".md")
        if path != "reference/columns.md":  # tested by its own file; it imports torch
            assert make().startswith("# "), path


def test_every_model_card_of_the_repository_has_a_page() -> None:
    cards = {str(path.relative_to(ROOT)) for path in (ROOT / "apps").glob("*/weights/**/*.md")}
    assert len(cards) > 3
    assert cards == set(CARDS)


def test_each_exit_code_is_on_its_page_with_its_meaning() -> None:
    rows = [line for line in exit_codes_page().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == [*(str(int(code)) for code in ExitCode), "130", "143"]
    assert all(len(row.split(" | ")[2]) > 5 for row in rows)


def test_every_module_of_metrics_is_on_its_page() -> None:
    modules = [path for path in (ROOT / "apps").glob("*/metrics/*.py") if path.name != "__init__.py"]
    assert len(modules) > 15
    assert metrics_page().count(":::") == len(modules)


def test_a_public_name_without_a_docstring_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "__init__.py").write_text(
        'from one.a import Thing, make\n__all__ = ["Thing", "make"]\n'
    )
    (tmp_path / "one" / "a.py").write_text(
        'class Thing:\n    """A thing."""\n    def run(self): ...\n    def _hide(self): ...\n    @property\n'
        "    def size(self): ...\n\ndef make(): ...\n"
    )
    (tmp_path / "one" / "metrics").mkdir()
    (tmp_path / "one" / "metrics" / "__init__.py").touch()
    (tmp_path / "one" / "metrics" / "rate.py").write_text(
        "from one.a import make\n\ndef rate(): ...\ndef _hide(): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(site, "ROOT", tmp_path)
    monkeypatch.setattr(site, "PUBLIC", ("one",))
    assert list(undocumented()) == [
        "one.Thing: one.a.Thing.run",
        "one.Thing: one.a.Thing.size",
        "one.make: one.a.make",
        "one.metrics.rate.rate",
    ]


def test_the_page_of_public_names_has_each_exported_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "exported", lambda package: ["load", "Thing"] if package == "apps.risk" else [])
    page = api_page()
    assert "## apps.risk\n\n::: apps.risk.load\n" in page
    assert page.count(":::") == 2
