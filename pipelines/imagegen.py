"""The front door of image generation: `triptych-imagegen stage=generate prompt="red apple" output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.imagegen.config import ImagegenConfig
from core.cli.main import run_command

STAGES = {
    "train": "apps.imagegen.train:run",
    "personalise": "apps.imagegen.personalise:run",
    "evaluate": "apps.imagegen.evaluate:run",
    "export": "apps.imagegen.export:run",
    "generate": "apps.imagegen.generate:run",
    "serve": "apps.imagegen.serve:run",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("imagegen", "imagegen", ImagegenConfig, STAGES, argv)


if __name__ == "__main__":
    sys.exit(main())
