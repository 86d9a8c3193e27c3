"""An evaluation becomes a record: every figure beside its references, and nothing of it lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.imagegen import evaluate
from apps.imagegen.config import ImagegenConfig
from benchmarks.imagegen.quality import run
from core.errors import ConfigError, InputError
from core.runs.files import write_json
from core.runs.folder import Run
from tests.apps.imagegen.report.metrics_made import METRICS


def test_words_reach_the_stage_and_its_figures_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ImagegenConfig] = []

    def stage(cfg: ImagegenConfig, run: Run) -> int:
        run.log.event("evaluated", items=1)
        seen.append(cfg)
        write_json(Path(str(cfg.output)) / "metrics.json", METRICS)
        return 0

    monkeypatch.setattr(evaluate, "run", stage)
    record = run(model="/a/model", pictures="32", seed="5", cache="/a/cache", output=str(tmp_path / "kept"))
    (cfg,) = seen
    assert (cfg.weights, cfg.evaluate.pictures, cfg.seed, cfg.data.cache) == (
        "/a/model",
        32,
        5,
        "/a/cache",
    )
    assert (tmp_path / "kept" / "metrics.json").is_file()
    assert record["headline"] == {
        "autoencoder": "31.2 dB (30.5 to 32.0)",
        "KID × 1000 on a <network>": "12.3 (real pictures through the autoencoder 4.5, real pictures -0.2)",
        "caption match": "74% (60% to 90%; real pictures 100%, prompts dealt at random 6%)",
        "scorer on held-out pictures": "40%",
    }
    assert record.pop("model") == METRICS["drawn_by"]["model"]
    assert {**record, "headline": None} == {**METRICS, "headline": None}
    run(model="")
    assert seen[1].weights is None
    assert not Path(str(seen[1].output)).exists(), "what nobody asked to keep is gone"


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.pictures=3 is out of range"):
        run(pictures="3")


@pytest.mark.parametrize("words", [{"pictures": "many"}, {"pictures": "-3"}, {"seed": "1.5"}])
def test_what_is_no_whole_number_is_reported(words: dict[str, str]) -> None:
    with pytest.raises(InputError, match="wanted a whole number"):
        run(**words)
