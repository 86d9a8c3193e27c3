"""The entry point of the server of exported networks: `triptych-models artifacts=DIR,DIR port=8000`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from core.cli.main import run_command
from core.serving.models_config import STAGES as NAMES
from core.serving.models_config import ModelsConfig

STAGES = {name: f"core.serving.{name}_models:run" for name in NAMES}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_command("models", "models", ModelsConfig, STAGES, argv)


if __name__ == "__main__":
    sys.exit(main())
