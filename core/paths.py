"""Where real data lies: $TRIPTYCH_DATA, else `../shared/data` beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path | None:
    """Return the folder of real data sets, or None where there is none."""
    named = os.environ.get("TRIPTYCH_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if folder.is_dir() else None
