"""The entry point of image generation: `triptych-imagegen stage=generate prompt="red apple" output=DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from apps.imagegen.config import STAGES as NAMES
from apps.imagegen.config import ImagegenConfig
from core.cli.main import run_command
from core.terminal.notes import print_note

STAGES = {name: f"apps.imagegen.{name}:run" for name in NAMES}


def check(config: ImagegenConfig) -> None:
    """Print a line where an option is given by its former name."""
    if config.model.path is not None:
        print_note("model.path= is now called weights=; the former name goes with the next release")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("imagegen", "imagegen", ImagegenConfig, STAGES, argv, check=check)


if __name__ == "__main__":
    sys.exit(main())
