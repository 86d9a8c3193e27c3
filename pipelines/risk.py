"""The entry point of the risk model: `triptych-risk stage=score as_of=DATE data=markets output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.risk.config import STAGES as NAMES
from apps.risk.config import RiskConfig
from core.cli.main import run_command

STAGES = {name: f"apps.risk.{name}:run" for name in NAMES}
PARTS = ("as_of",)  # a backfill, -m as_of=A,B, writes all its dates into one output


def check(config: RiskConfig) -> None:
    """Raise an error for a wrong as_of= or data.max_age=, before a table or a network is loaded."""
    if config.data.max_age is not None:
        from apps.risk.data.max_age import parse_max_age

        parse_max_age(config.data.max_age)
    if config.as_of is not None and (config.data.zone or not config.data.columns):
        from apps.risk.data.as_of_time import (
            parse_as_of,  # it needs NumPy, which a wrong option need not wait for
        )

        parse_as_of(config.as_of, config.data.zone)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("risk", "risk", RiskConfig, STAGES, argv, PARTS, check)


if __name__ == "__main__":
    sys.exit(main())
