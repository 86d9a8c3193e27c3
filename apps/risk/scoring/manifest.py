"""The manifest of a partition: what it holds, what made it, and the SHA-256 of each file.

It is called `_manifest.json` since readers of Parquet folders (pandas, pyarrow, Spark) skip such names and fail on
others; `manifest.json` above all partitions sums them up.
Nothing in it depends on the clock, the machine or the order of work, so a second run writes the same bytes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from apps.risk.data.as_of_time import AsOf
from apps.risk.reasons import DEFECTS, INPUTS
from core.errors import InputError
from core.runs.files import write_json

MANIFEST = "_manifest.json"
INDEX = "manifest.json"
PARTS = "part-*.parquet"
_SHOWN = 3  # files named in a sentence


@dataclass(frozen=True)
class Facts:
    """What a partition cannot say of itself.

    model_digest: SHA-256 of the weights and settings that scored. units: unit of each column of the files ("1"
    for a plain number, "" for a name). scored: entities in the files. refused, rejected: entities and input rows
    set aside, by reason code. input_digest: of the panel that was scored (`panel_digest`). settings: plain JSON,
    those that matter for the result and no others. seen_in_training: targets, event → last date of a training that
    saw days which are forecast here.
    """

    as_of: AsOf
    model: str
    model_digest: str
    units: Mapping[str, str]
    scored: int
    refused: Mapping[str, int]
    rejected: Mapping[str, int]
    input_digest: str
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seen_in_training: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write_manifest(folder: Path, facts: Facts) -> dict[str, Any]:
    """Write _manifest.json for the Parquet files that lie in a folder, and return its content.

    Columns, types, rows, bytes and digests are read from the files. `digest` covers all the rest of the manifest:
    two partitions with the same digest are the same. Raises InternalFault where a column has no unit, a unit has
    no column, or there is no file.
    """
    paths = sorted(folder.glob(PARTS))
    if not paths:
        raise DEFECTS("manifest_empty")
    with paths[0].open("rb") as stream:
        schema = pq.read_schema(stream)
    if set(schema.names) != set(facts.units):
        named = ", ".join(sorted(set(schema.names) ^ set(facts.units)))
        raise DEFECTS("manifest_units", names=named)
    content: dict[str, Any] = {
        "as_of": facts.as_of.text,
        "model": {"name": facts.model, "digest": facts.model_digest},
        "columns": [
            {"name": field.name, "type": str(field.type), "unit": facts.units[field.name]} for field in schema
        ],
        "counts": {
            "scored": int(facts.scored),
            "refused": _counts(facts.refused),
            "rejected_rows": _counts(facts.rejected),
        },
        "input": {"digest": facts.input_digest},
        "seen_in_training": dict(facts.seen_in_training),
        "settings": dict(facts.settings),
        "files": {path.name: _file(path) for path in paths},
    }
    content["digest"] = _digest(content)
    write_json(folder / MANIFEST, content)
    return content


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a partition; raise InputError where it is missing, unreadable or was changed."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise INPUTS("manifest_missing", path=path, cause=error.strerror) from error
    except ValueError as error:
        raise INPUTS("manifest_changed", path=path) from error
    if not isinstance(content, dict) or content.get("digest") != _digest(content):
        raise INPUTS("manifest_changed", path=path)
    return content


def verify(folder: Path) -> dict[str, Any]:
    """Return the manifest of a whole partition; raise InputError that names what is missing, changed or foreign."""
    content = read_manifest(folder)
    files: dict[str, dict[str, Any]] = content["files"]
    there = {path.name: path for path in folder.iterdir() if path.name != MANIFEST}
    changed = []
    for name in sorted(files.keys() & there.keys()):
        path, wanted = there[name], files[name]
        if not path.is_file() or path.stat().st_size != wanted["bytes"] or _sha256(path) != wanted["sha256"]:
            changed.append(name)
    differing = {
        "missing": sorted(files.keys() - there.keys()),
        "changed": changed,
        "not in the manifest": sorted(there.keys() - files.keys()),
    }
    differences = [f"{what}: {_some(names)}" for what, names in differing.items() if names]
    if differences:
        raise INPUTS("partition_changed", folder=folder, differences="; ".join(differences))
    return content


def summary(scores: Path) -> dict[str, Any]:
    """Return what the partitions in a folder hold, by name: digest, model and counts, or the code of their fault."""
    partitions: dict[str, Any] = {}
    for folder in sorted(scores.glob("as_of=*")):
        try:
            content = read_manifest(folder)
            partitions[folder.name] = {name: content[name] for name in ("digest", "model", "counts")}
        except InputError as error:
            partitions[folder.name] = {"fault": error.code}
    return {"partitions": partitions}


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        rows = pq.read_metadata(stream).num_rows
    return {
        "bytes": path.stat().st_size,
        "rows": rows,
        "sha256": _sha256(path),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _counts(counts: Mapping[str, int]) -> dict[str, int]:
    return {code: int(count) for code, count in counts.items()}


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
