"""Why a command line of the job queue is refused."""

from __future__ import annotations

from core.errors import ConfigError
from core.reasons import Reasons

COMMAND = Reasons(
    ConfigError,
    "The command line of triptych-jobs",
    {"jobs_option": "{message}; `{command} --help` shows what there is"},
)
