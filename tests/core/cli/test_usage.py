from __future__ import annotations

from apps.nodule.config import STAGES, NoduleConfig
from core.cli.usage import groups, usage
from core.settings.schema import walk


def test_the_page_tells_every_stage_group_field_and_option() -> None:
    page = usage("triptych-nodule", "nodule", NoduleConfig)
    fields = [path for path, _ in walk(NoduleConfig)]
    assert len(fields) > 30
    for path in fields:
        assert f"  {path}\n" in page
    assert f"stages: {', '.join(STAGES)}" in page
    assert "trainer     default, smoke" in page
    assert "optimizer steps in all, those before a resume included (1 or more steps; default 10000)" in page
    assert "--multirun" in page
    assert max(map(len, page.splitlines())) <= 140


def test_groups_are_the_apps_own_and_the_shared_ones() -> None:
    found = groups("nodule")
    assert list(found) == ["data", "experiment", "model", "precision", "strategy", "trainer"]
    assert found["model"] == ["compact", "retinanet"]
    assert found["precision"] == ["bf16", "fp32"]
