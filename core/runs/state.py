"""Where a user's own state lies between runs: the key of the log, the database of jobs."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def state_folder() -> Path:
    """Return the folder, there or not: $XDG_STATE_HOME/triptych, by default ~/.local/state/triptych on Linux."""
    return platformdirs.user_state_path("triptych", appauthor=False)
