"""Settings of a training run, the same for every app; free of torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from core.settings.schema import Section, setting
from core.training.reasons import TRAINING


@dataclass
class TrainerConfig(Section):
    """How long, how fast and on what a model trains."""

    where: ClassVar[str] = "trainer"

    max_steps: int = setting(
        10000, "optimizer steps in all, those before a resume included", unit="steps", low=1
    )
    max_minutes: float | None = setting(
        None, "stop after this time even if steps are left", unit="minutes", above=0
    )
    batch_size: int = setting(8, "samples a step on each device", unit="samples", low=1)
    learning_rate: float = setting(1e-3, "highest learning rate, reached after the warm-up", above=0, high=10)
    weight_decay: float = setting(1e-2, "decoupled weight decay", low=0, high=1)
    warmup_steps: int = setting(
        200, "steps over which the learning rate rises from zero", unit="steps", low=0
    )
    ema_decay: float = setting(
        0.998, "decay of the moving average of the weights a step; 0 keeps none", low=0, high=0.99999
    )
    gradient_clip: float = setting(1.0, "largest gradient norm; 0 clips nothing", low=0)
    precision: str = setting("fp32", "arithmetic of the forward pass", choices=("fp32", "bf16"))
    strategy: str = setting("single", "one device, or data parallel over several", choices=("single", "ddp"))
    devices: int = setting(1, "processes on this machine", unit="devices", low=1)
    num_workers: int = setting(0, "processes that prepare data; 0 prepares in the main one", low=0)
    log_every_steps: int = setting(20, "steps between two lines of the log", unit="steps", low=1)
    checkpoint_every_steps: int = setting(500, "steps between two checkpoints", unit="steps", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strategy == "single" and self.devices > 1:
            raise TRAINING("devices_single", devices=self.devices)


def share_of(trainer: TrainerConfig, share: float, rate: float = 1.0) -> TrainerConfig:
    """Return the settings of one part of a training: its share, 0 to 1, of the steps and the minutes.

    rate: factor of the learning rate.
    """
    return replace(
        trainer,
        max_steps=max(round(trainer.max_steps * share), 1),
        max_minutes=trainer.max_minutes * share if trainer.max_minutes else None,
        learning_rate=trainer.learning_rate * rate,
    )
