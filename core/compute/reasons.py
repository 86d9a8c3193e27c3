"""Why a computation is refused."""

from __future__ import annotations

from core.errors import ConfigError, InternalFault
from core.reasons import Reasons

DEVICE = Reasons(
    ConfigError,
    "A device",
    {"no_gpu": "model.device=cuda, but no GPU is available here: use auto or cpu"},
)

HOOKS = Reasons(
    InternalFault,
    "Hooks on the modules of a network",
    {"hooks_nothing": "no module of {network} is selected"},
)
