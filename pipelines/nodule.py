"""The entry point of lung-nodule detection: `triptych-nodule stage=infer input=DIR output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.nodule.config import STAGES as NAMES
from apps.nodule.config import NoduleConfig
from core.cli.main import run_command

STAGES = {name: f"apps.nodule.{name}:run" for name in NAMES}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("nodule", "nodule", NoduleConfig, STAGES, argv)


if __name__ == "__main__":
    sys.exit(main())
