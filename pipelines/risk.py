"""The front door of the risk model: `triptych-risk stage=score as_of=DATE data=markets output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.risk.config import STAGES as NAMES
from apps.risk.config import RiskConfig
from core.config import front_door

STAGES = {name: f"apps.risk.{name}:run" for name in NAMES}
PARTS = ("as_of",)  # a backfill, -m as_of=A,B, writes all its dates into one output


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return front_door("risk", "risk", RiskConfig, STAGES, argv, PARTS)


if __name__ == "__main__":
    sys.exit(main())
