"""Dated, device-named records of measurements; knows nothing of what was measured.

results/<theme>_<device>_<date>_<commit>.json
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.runs.files import write_json
from core.runs.provenance import commit, device, packages

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
NAMED = (
    *("torch", "numpy", "scipy", "lightning", "monai", "simpleitk", "pydicom", "highdicom"),
    *("pandas", "pyarrow", "arch", "scikit-learn", "pytorch-forecasting", "skfolio"),
    *("diffusers", "transformers", "peft", "safetensors"),
)


def measure(
    theme: str,
    command: str,
    work: Callable[[], Mapping[str, Any]],
    folder: Path = RESULTS,
    now: datetime | None = None,
) -> Path:
    """Do the work and write its record; return the file.

    theme: letters, digits and hyphens. command: what to type to repeat it, without a path of this machine.
    work: returns plain JSON types; its "headline", names and values, goes to the page of all results.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", theme):
        raise ValueError(f"theme is {theme!r}, wanted lower-case words joined by hyphens")
    start = time.monotonic()
    results = dict(work())
    record = {
        "theme": theme,
        "time": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        "device": device(),
        "git": commit(ROOT),
        "versions": {"python": sys.version.split()[0], **_versions()},
        "seconds": round(time.monotonic() - start, 1),
        "peak_memory_mb": peak_memory_mb(),
        "headline": results.pop("headline", {}),
        "results": results,
    }
    path = folder / file_name(record)
    write_json(path, record)
    return path


def file_name(record: Mapping[str, Any]) -> str:
    """Return the name of a record's file."""
    git = record["git"]
    short = git["commit"][:7] if git else "no-commit"
    return f"{record['theme']}_{device_slug(record['device'])}_{record['time'][:10]}_{short}.json"


def device_slug(machine: Mapping[str, Any]) -> str:
    """Return a device as one word for a file's name: the GPU where there is one, else processor and cores."""
    gpus = machine["gpus"]
    name = gpus[0] if gpus else f"{machine['cpu'] or 'cpu'} {machine['cores']} cores"
    name = re.sub(r"\((R|TM)\)|CPU|Processor|@.*?GHz", "", str(name), flags=re.IGNORECASE)
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def read_records(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Read all records, oldest first; each knows its file's name as "file"."""
    paths = sorted(folder.glob("*.json"))
    records = [{**json.loads(path.read_text(encoding="utf-8")), "file": path.name} for path in paths]
    return sorted(records, key=lambda record: str(record["time"]))


def newest(records: list[dict[str, Any]], theme: str) -> dict[str, Any] | None:
    """Return the last record of a theme, or None."""
    return next((record for record in reversed(records) if record["theme"] == theme), None)


def peak_memory_mb(used: resource.struct_rusage | None = None) -> int:
    """Return the largest resident memory that the system tells; by default of this process."""
    # Linux counts in kilobytes, macOS in bytes
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return round((used or resource.getrusage(resource.RUSAGE_SELF)).ru_maxrss / unit)


def _versions() -> dict[str, str]:
    installed = packages()
    return {name: installed[name] for name in NAMED if name in installed}
