"""Help pages are written from the declarations."""

from __future__ import annotations

import pytest

from apps.nodule.config import STAGES, NoduleConfig
from apps.risk.config import RiskConfig
from core.cli.usage import asked_stage, usage
from core.errors import ConfigError
from core.settings.schema import stages_by_field


def test_the_page_shows_each_stage_in_a_line_and_every_group() -> None:
    page = usage("triptych-nodule", "nodule", NoduleConfig)
    lines = page.splitlines()
    assert len(STAGES) == 7
    for name, about in STAGES.items():
        assert f"  {name:<8}  {about}" in lines
    assert "  trainer     default, smoke" in lines
    assert "--multirun" in page
    assert "triptych-nodule stage=STAGE --help shows the fields that a stage reads." in lines
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("stage", ["train", "evaluate", "score", "backtest", "plan"])
def test_the_page_of_a_stage_shows_the_fields_that_it_reads_and_no_others(stage: str) -> None:
    page = usage("triptych-risk", "risk", RiskConfig, stage)
    readers = stages_by_field(RiskConfig)
    read = {path for path, stages in readers.items() if stage in stages}
    assert 5 < len(read) < len(readers)
    assert {path for path in readers if f"\n  {path}\n" in page} == read
    assert ("\n  trainer     default, smoke\n" in page) == (stage == "train")


def test_a_field_is_described_with_its_range_and_default() -> None:
    page = usage("triptych-risk", "risk", RiskConfig, "train")
    assert "optimizer steps in all, those before a resume included (1 or more steps; default 10000)" in page


def test_the_stage_that_help_is_asked_for() -> None:
    assert asked_stage([], RiskConfig) is None
    assert asked_stage(["seed=3", "stage=score"], RiskConfig) == "score"
    with pytest.raises(ConfigError, match="stage=scor is not one of train, evaluate, score"):
        asked_stage(["stage=scor"], RiskConfig)
