"""Checks of a composed config."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.nodule.config import NoduleConfig
from apps.risk.config import RiskConfig, ScoreConfig
from core.cli.checks import check_inputs, check_needs, check_texts
from core.errors import ConfigError, InputError


def test_a_stage_that_lacks_what_it_needs_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_needs(NoduleConfig("infer", input="i"))
    assert caught.value.sentence == (
        "stage=infer needs output (folder for results; a second run writes the same bytes): add output=…"
    )
    check_needs(NoduleConfig("train"))


def test_a_path_that_the_stage_reads_must_be_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(InputError, match=r"input=.*none cannot be read: No such file or directory"):
        check_inputs(NoduleConfig("infer", input=missing))
    check_inputs(NoduleConfig("simulate", input=missing))
    check_inputs(RiskConfig("score", schedule="0 6 * * *", score=ScoreConfig(portfolios=missing)))


def test_texts_that_may_not_be_recorded_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"score\.sql holds a password"):
        check_texts(RiskConfig("score", score=ScoreConfig(sql="postgresql://me:hunter2@host/db")))
    with pytest.raises(ConfigError, match=r"as_of holds a byte that is not UTF-8"):
        check_texts(RiskConfig("score", as_of="\udcff"))
    check_texts(NoduleConfig("infer", input="\udcff"))
