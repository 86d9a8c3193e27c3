from __future__ import annotations

from typing import Any

import pytest

from core.errors import ConfigError
from core.training.config import TrainerConfig


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
