"""The judges are loaded from one cache, and the scorer learns from training pictures alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from apps.imagegen.data.pictures import TRAIN
from apps.imagegen.models import judges as module
from apps.imagegen.models.judges import load_judges
from core.runs.log import RunLog
from tests.apps.imagegen.test_evaluate import pictures_made


def test_the_scorer_gets_training_pictures_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, learnt_from = pictures_made(), []

    def scorer(cache: Path, pictures: Any, inception: str, log: RunLog) -> str:
        assert (cache, inception) == (tmp_path, "inception")
        learnt_from.extend(pictures.pictures)
        return "scorer"

    monkeypatch.setattr(module, "load_pictures", lambda cache, edge: made if edge == 32 else None)
    monkeypatch.setattr(module, "load_inception", lambda cache: "inception")
    monkeypatch.setattr(module, "load_scorer", scorer)
    with RunLog(tmp_path / "log.jsonl") as log:
        judges = load_judges(tmp_path, 32, log)
    assert (judges.pictures, judges.inception, judges.scorer) == (made, "inception", "scorer")
    assert learnt_from == [one for one in made.pictures if one.split == TRAIN]
