"""The manifest of an export: one JSON file that says of every artifact what it is, and what was measured of it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from core.export.ports import Axis, Port
from core.export.reasons import ARTIFACTS
from core.runs.files import write_json

NAME = "manifest.json"
VERSION = 1
NOT_APPLICABLE, REFUSED = "not applicable", "refused"  # why a network is not there in a format
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_STRICT)
class FileRecord:
    """A file of an artifact: its path below the manifest's folder, and its SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True, config=_STRICT)
class MetricRecord:
    """A task metric with the network as it is, and with all networks in this format; at most `allowed` may be lost."""

    before: float
    after: float
    allowed: float
    better: str

    @property
    def shows_nothing(self) -> bool:
        """Whether it could not have become worse: the higher the better, and 0 before."""
        return self.better == "higher" and self.before == 0


@dataclass(frozen=True, config=_STRICT)
class Case:
    """One comparison. inputs: "random" or "real". error: relative to the largest value of the output."""

    inputs: str
    sizes: dict[str, int]
    error: float


@dataclass(frozen=True, config=_STRICT)
class Artifact:
    """One network in one format.

    files: the first is the one that is opened. bytes: of all files.
    error, tolerance: against eager, relative to the largest value of the output. milliseconds, eager_milliseconds: one
    thread, side by side. ratio: how many times as fast as eager. rows_independent: whether a row's bytes do not depend
    on the rest of its batch. instructions: sets that the processor needs, of compiled code. metrics: of the task. rows:
    axis along which one entry's result depends on no other; None where there is none, or it is not known.
    """

    network: str
    format: str
    precision: str
    files: tuple[FileRecord, ...]
    bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    axes: tuple[Axis, ...]
    tolerance: float
    error: float
    cases: tuple[Case, ...]
    milliseconds: float
    eager_milliseconds: float
    ratio: float
    rows_independent: bool | None
    instructions: tuple[str, ...]
    versions: dict[str, str]
    metrics: dict[str, MetricRecord]
    rows: str | None = None


@dataclass(frozen=True, config=_STRICT)
class Absent:
    """A network that is not there in a format. status: "not applicable" or "refused"; why: in one sentence."""

    network: str
    format: str
    status: str
    why: str


@dataclass(frozen=True, config=_STRICT)
class Manifest:
    """All of one export.

    model: SHA-256 of the weights. processor: on which it was measured. task: on what, and by how much, the metrics were
    taken. networks, metrics: name → what it is, in words.
    """

    version: int
    app: str
    model: str
    processor: str
    task: str
    networks: dict[str, str]
    metrics: dict[str, str]
    artifacts: tuple[Artifact, ...]
    absent: tuple[Absent, ...]


_READER = TypeAdapter(Manifest)


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write `manifest.json` to a folder."""
    content: dict[str, Any] = asdict(manifest)
    write_json(folder / NAME, content)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises InputError: export_missing, export_unreadable, export_version, and artifact_outside where a file that
    it names does not lie below the folder.
    """
    path = folder / NAME
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ARTIFACTS("export_missing", path=folder, name=NAME) from error
    try:
        manifest = _READER.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ARTIFACTS(
            "export_unreadable", path=path, why=f"{where}: {first['msg']}" if where else first["msg"]
        ) from error
    if manifest.version != VERSION:
        raise ARTIFACTS("export_version", path=path, version=manifest.version, known=VERSION)
    for artifact in manifest.artifacts:
        for file in artifact.files:
            _inside(folder, file.path, path)
    return manifest


def verified(artifact: Artifact, folder: Path) -> Path:
    """Return the file of an artifact to open, after all its files were compared with the manifest's hashes.

    Raises InputError: artifact_outside, artifact_missing, artifact_changed.
    """
    for record in artifact.files:
        file = _inside(folder, record.path, folder / NAME)
        if not file.is_file():
            raise ARTIFACTS("artifact_missing", path=folder / NAME, file=record.path)
        if file_digest(file) != record.sha256:
            raise ARTIFACTS("artifact_changed", file=file)
    return folder / artifact.files[0].path


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inside(folder: Path, name: str, path: Path) -> Path:
    file = folder / name
    if Path(name).is_absolute() or not file.resolve().is_relative_to(folder.resolve()):
        raise ARTIFACTS("artifact_outside", path=path, file=name)
    return file
