"""The log of prompts: one JSON line a request, written before anything is drawn."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from apps.imagegen.data.recipe import Recipe
from apps.imagegen.service.reasons import SERVICE


def log_prompts(path: Path, request: str, recipes: Sequence[Recipe]) -> None:
    """Add a line to the log of prompts. Raises ServiceError 507 where that cannot be; no half of a line stays."""
    line = {"time": round(time.time(), 3), "work": request, "recipes": [one.as_json() for one in recipes]}
    data = json.dumps(line).encode() + b"\n"
    try:
        with path.open("ab", buffering=0) as stream:
            end = stream.tell()
            if stream.write(data) != len(data):
                stream.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise SERVICE("prompt_log_unwritable", cause=error.strerror) from error
