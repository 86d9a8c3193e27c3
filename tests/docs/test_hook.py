from __future__ import annotations

import logging
from pathlib import Path

import pytest
from mkdocs.config import load_config
from mkdocs.structure.files import Files

from docs import hook


def test_generated_pages_join_the_site_and_a_missing_docstring_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hook, "pages", lambda: {"reference/a.md": lambda: "# A"})
    monkeypatch.setattr(hook, "undocumented", lambda: iter(["one.b"]))
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nplugins: []\n", encoding="utf-8")
    config = load_config(str(tmp_path / "mkdocs.yml"))
    config.plugins._current_plugin = "hook"  # as mkdocs sets it around each call
    with caplog.at_level(logging.WARNING, "mkdocs"):
        files = hook.on_files(Files([]), config)
    assert [(file.src_uri, file.content_string) for file in files] == [("reference/a.md", "# A")]
    assert caplog.messages == ["public name without a docstring: one.b"]


def test_a_page_takes_what_the_code_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "INSERTS", {"some-table": lambda: "| a |"})
    assert hook.on_page_markdown("x\n<!-- insert: some-table -->\ny") == "x\n| a |\ny"
    with pytest.raises(KeyError, match="other"):
        hook.on_page_markdown("<!-- insert: other -->")
