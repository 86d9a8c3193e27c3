"""A training that diverged leaves no model, and says so in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.risk.data.mixture import Material, Mixture
from apps.risk.models.learning import Forecasting
from apps.risk.models.sound_training import fit_soundly
from core.errors import InputError
from core.runs.log import RunLog
from core.training.config import TrainerConfig
from tests.apps.risk.models.networks import untrained

SHARES = {"simulated": 1.0}


@pytest.mark.parametrize(("rate", "diverges"), [(1e-3, False), (10.0, True)])
def test_a_learning_rate_that_is_too_high_is_found_out(rate: float, diverges: bool, tmp_path: Path) -> None:
    trainer = TrainerConfig(
        max_steps=6, batch_size=8, learning_rate=rate, warmup_steps=0, gradient_clip=0.0, ema_decay=0.0
    )
    mixture = Mixture(Material(np.zeros((1, 10))), SHARES, 32, 8, futures=2)
    module = Forecasting(untrained().net.train(), trainer)
    with RunLog(tmp_path / "log.jsonl") as log:
        if not diverges:
            assert fit_soundly(module, mixture, trainer, tmp_path, log, 0).steps == 6
            assert module.training
            return
        with pytest.raises(
            InputError, match=r"its loss went from 0\.\d+ to .*lower trainer\.learning_rate"
        ) as caught:
            fit_soundly(module, mixture, trainer, tmp_path, log, 0)
    assert (caught.value.code, caught.value.exit_code) == ("training_diverged", 2)
