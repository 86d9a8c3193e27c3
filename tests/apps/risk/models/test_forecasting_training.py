"""tft and deepar learn what drives a series, through the core's training, and go on where they were cut off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from apps.risk.config import ModelConfig
from apps.risk.models import forecasting_training
from apps.risk.models.forecasting_models import ForecastingModel, load_forecasting
from apps.risk.models.forecasting_training import WindowSource, train_forecasting
from apps.risk.models.sound_training import BATCHES
from core.data.stream import BatchSource
from core.errors import InputError
from core.runs.log import RunLog
from core.training.config import TrainerConfig
from tests.apps.risk.models.driven import driven, driven_panel, untrained


def train(
    name: str, folder: Path, steps: int, **fields: Any
) -> tuple[ForecastingModel, dict[str, dict[str, float]]]:
    trainer = TrainerConfig(
        max_steps=steps,
        batch_size=32,
        learning_rate=0.02,
        warmup_steps=5,
        ema_decay=0.8,
        log_every_steps=10,
        checkpoint_every_steps=2,
    )
    cfg = ModelConfig(**{"name": name, "context": 8, "horizon": 2, **fields})
    folder.mkdir(parents=True, exist_ok=True)
    with RunLog(folder / "log.jsonl") as log:
        return train_forecasting(
            name, driven_panel(), "target", cfg, trainer, folder / "checkpoints", log, seed=0
        )


def losses(folder: Path) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "train"]


def test_deepar_learns_what_drives_the_series(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, importance = train("deepar", tmp_path, 60)
    assert capfd.readouterr() == ("", "")
    result = losses(tmp_path)
    assert result[-1] < result[0] - 0.3
    shares = importance["permutation"]
    assert shares["due.sum"] > 0.5
    assert shares["due.sum"] > 3 * max(abs(shares["kind"]), abs(shares["age"]))
    model.save(tmp_path / "model")
    panel = driven_panel()
    forecasts = [
        m.forecast(panel, "target", 2, 100, 0) for m in (model, load_forecasting(tmp_path / "model"))
    ]
    assert np.array_equal(forecasts[0].path_SNH, forecasts[1].path_SNH)


def test_tft_learns_what_drives_the_series(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, importance = train("tft", tmp_path, 40)
    assert capfd.readouterr() == ("", "")
    result = losses(tmp_path)
    assert result[-1] < 0.75 * result[0]
    assert importance["decoder"]["due.sum"] > 0.7
    panel = driven_panel()
    table = driven()
    median_N = model.forecast(panel, "target", 2, 100, 0).quantile_NHQ(np.array([0.5]))[:, 0, 0]
    due_N = table.loc[table["time"] == "2024-03-21", "due.sum"].to_numpy()
    assert np.corrcoef(median_N, due_N)[0, 1] > 0.8


@pytest.mark.parametrize("name", ["tft", "deepar"])
def test_a_training_that_was_cut_off_ends_as_an_unbroken_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    unbroken, metadata = train(name, tmp_path / "unbroken", 6)
    whole = forecasting_training.network_batch
    left = iter(range(BATCHES + 4))  # those that are judged before the first step, and the prefetched ones

    def breaking(*words: Any) -> Any:
        next(left)
        return whole(*words)

    monkeypatch.setattr(forecasting_training, "network_batch", breaking)
    with pytest.raises((StopIteration, RuntimeError)):
        train(name, tmp_path / "broken", 6)
    kept = torch.load(tmp_path / "broken" / "checkpoints" / "last.ckpt", weights_only=False)
    assert kept["global_step"] == 2
    monkeypatch.undo()
    resumed, again = train(name, tmp_path / "broken", 6)
    torch.set_num_threads(before)
    wanted, result = unbroken.net.state_dict(), resumed.net.state_dict()
    assert wanted.keys() == result.keys()
    assert all(torch.equal(wanted[key], result[key]) for key in wanted)
    assert again == metadata


def test_windows_are_a_source_of_batches() -> None:
    panel = driven_panel()
    model = untrained("tft", panel, context=8, horizon=2)
    source = WindowSource(forecasting_training.learning_windows(panel, model.net.description), model.net)
    assert isinstance(source, BatchSource)
    first = [x["encoder_cont"] for _, (x, _) in zip(range(3), source.stream(5, 4, 0, 0, 1), strict=False)]
    tail = next(iter(source.stream(5, 4, 2, 0, 1)))[0]["encoder_cont"]
    assert torch.equal(tail, first[2])
    assert not torch.equal(first[0], first[1])


def test_series_too_short_to_learn_from_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no series has 20 rows of past and 70 steps ahead to learn from"):
        train("tft", tmp_path, 2, context=64, horizon=70)
