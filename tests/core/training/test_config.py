from __future__ import annotations

from typing import Any

import pytest

from core.errors import ConfigError
from core.training.config import TrainerConfig, share_of


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"max_steps": 0}, "trainer.max_steps=0 is out of range: allowed is 1 or more steps"),
        ({"max_minutes": 0.0}, "trainer.max_minutes=0.0 is out of range: allowed is more than 0 minutes"),
        ({"ema_decay": 1.0}, "trainer.ema_decay=1.0 is out of range: allowed is 0 to 0.99999"),
        ({"precision": "fp16"}, "trainer.precision=fp16 is not one of fp32, bf16"),
        ({"devices": 2}, "trainer.devices=2 needs several processes: add strategy=ddp"),
        ({"strategy": "fsdp"}, "trainer.strategy=fsdp is not one of single, ddp"),
    ],
)
def test_impossible_settings_are_named(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TrainerConfig(**wrong)
    assert caught.value.sentence.startswith(sentence)


def test_the_defaults_are_valid() -> None:
    assert TrainerConfig().max_minutes is None


def test_several_devices_go_with_ddp() -> None:
    assert TrainerConfig(strategy="ddp", devices=2).devices == 2


def test_a_part_of_a_training_has_its_share_of_steps_and_minutes() -> None:
    whole = TrainerConfig(max_steps=1000, max_minutes=20.0, learning_rate=0.01)
    part = share_of(whole, 0.25, rate=0.1)
    assert (part.max_steps, part.max_minutes, part.learning_rate) == (250, 5.0, pytest.approx(0.001))
    assert share_of(TrainerConfig(max_steps=3), 0.1).max_steps == 1
    assert share_of(TrainerConfig(), 0.5).max_minutes is None
