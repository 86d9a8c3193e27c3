"""The front door of lung-nodule detection: `triptych-nodule stage=infer input=DIR output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.nodule.config import NoduleConfig
from core.cli.main import run_command

STAGES = {
    "train": "apps.nodule.train:run",
    "evaluate": "apps.nodule.evaluate:run",
    "infer": "apps.nodule.infer:run",
    "simulate": "apps.nodule.simulate:run",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("nodule", "nodule", NoduleConfig, STAGES, argv)


if __name__ == "__main__":
    sys.exit(main())
