"""The demo's section: its pictures lie where its links lead, and it says how long they took."""

from __future__ import annotations

from pathlib import Path

import pytest

import apps.imagegen.demo as module
from apps.imagegen.data.pictures import EVERYDAY
from apps.imagegen.demo import ATTENDED, PROMPTS, section
from apps.imagegen.report.recipe_png import recipe_of
from core.reports.page import Facts, Figure, Links, Page
from core.runs.folder import Run
from tests.apps.imagegen.tiny import tiny_pipeline


def test_the_prompts_are_everyday_ones() -> None:
    lines = EVERYDAY.read_text(encoding="utf-8").splitlines()
    known = {line.partition(",")[0] for line in lines}
    assert len(set(PROMPTS)) == 12
    assert known >= set(PROMPTS)
    assert ATTENDED in PROMPTS


def test_a_section_shows_a_sheet_and_leads_to_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "PROMPTS", ("red apple", ATTENDED))
    monkeypatch.setattr(module, "STEPS", 2)
    record = Run(tmp_path / "run")
    with record.log:
        made = section(tmp_path / "out" / "imagegen", record, tiny_pipeline(tmp_path / "model"))
    figures = [str(block.image) for block in made.blocks if isinstance(block, Figure)]
    assert len(figures) == 2
    assert 'aria-label="2 pictures with their prompts"' in figures[0]
    assert "Attention to the words of “slice of pizza” by step" in figures[1]
    (links,) = (block for block in made.blocks if isinstance(block, Links))
    for _, address in links.pairs:
        assert (tmp_path / "out" / address).is_file()
    assert recipe_of((tmp_path / "out" / links.pairs[1][1]).read_bytes()).prompt == "red apple"
    (facts,) = (block for block in made.blocks if isinstance(block, Facts))
    assert dict(facts.pairs)["Pictures"] == "2 of 2 steps"
    assert "Pictures from words" in Page(title="", subtitle="", sections=[made]).render()
