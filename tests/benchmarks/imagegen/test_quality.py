"""An evaluation becomes a record: every figure beside its references, and nothing of it lost."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from apps.imagegen.config import ImagegenConfig
from apps.imagegen.data.recipe import Recipe
from apps.imagegen.evaluate import Evaluation
from benchmarks.imagegen import quality
from benchmarks.imagegen.quality import run
from core.errors import ConfigError, InputError
from tests.apps.imagegen.report.metrics_made import METRICS, shown


def test_words_reach_the_evaluation_and_its_figures_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []

    def evaluate(*given: Any) -> Evaluation:
        seen.append(given)
        return Evaluation(METRICS, shown())

    monkeypatch.setattr(quality, "load_pipeline", lambda folder: f"the pipeline of {folder}")
    monkeypatch.setattr(quality, "load_judges", lambda cache, edge, log: f"the judges of {cache}, {edge}")
    monkeypatch.setattr(quality, "evaluate", evaluate)
    record = run(model="/a/model", pictures="32", seed="5", cache="/a/cache", output=str(tmp_path / "kept"))
    assert seen == [
        ("the pipeline of /a/model", "the judges of /a/cache, 128", Recipe("", seed=5), 32),
    ]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "metrics.json", "report.html", "sheet.png",
    ]  # fmt: skip
    assert record["headline"] == {
        "autoencoder": "31.2 dB (30.5 to 32.0)",
        "KID × 1000 on a <network>": "12.3 (real pictures through the autoencoder 4.5, real pictures -0.2)",
        "caption match": "74% (60% to 90%; real pictures 100%, prompts dealt at random 6%)",
        "scorer on held-out pictures": "40%",
    }
    assert record.pop("model") == METRICS["drawn_by"]["model"]
    assert {**record, "headline": None} == {**METRICS, "headline": None}
    run(model="")
    assert seen[1][0] == "the pipeline of None"


def test_the_evaluation_is_that_of_the_stage_as_it_comes() -> None:
    """The record names no setting: those of the recipe must be those of the command's options."""
    defaults = ImagegenConfig("evaluate", output="out")
    first = Recipe("")
    assert (first.steps, first.guidance, first.scheduler) == (
        defaults.steps, defaults.guidance, defaults.scheduler,
    )  # fmt: skip
    assert inspect.signature(quality.evaluate).parameters["rows"].default == defaults.serve.rows


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.pictures=3 is out of range"):
        run(pictures="3")


@pytest.mark.parametrize("words", [{"pictures": "many"}, {"pictures": "-3"}, {"seed": "1.5"}])
def test_what_is_no_whole_number_is_reported(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="wanted a whole number"):
        run(**words)
