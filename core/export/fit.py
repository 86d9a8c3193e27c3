"""Whether an artifact can run here: its package, the processor and the version of PyTorch; free of torch."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec
from pathlib import Path

from core.errors import InputError
from core.export.formats import FORMATS
from core.export.manifest import NAME, Artifact
from core.export.reasons import ARTIFACTS
from core.runs.provenance import device


def runs_here(artifact: Artifact) -> bool:
    """Tell whether the format is one that is run, its package is installed, and its code fits this machine."""
    one = FORMATS[artifact.format]
    if not one.runtime or (one.package is not None and find_spec(one.package) is None):
        return False
    try:
        require_fit(artifact, Path())
    except InputError:
        return False
    return True


def require_fit(artifact: Artifact, folder: Path) -> None:
    """Refuse compiled code of another processor, or of another PyTorch. Raises InputError."""
    missing = sorted(set(artifact.instructions) - set(device()["isa"]))
    if missing:
        raise ARTIFACTS(
            "artifact_instructions", name=artifact.format, path=folder / NAME, needed=", ".join(missing)
        )
    made = artifact.versions.get("torch")
    here = importlib.metadata.version("torch")
    if FORMATS[artifact.format].compiled and made is not None and made != here:
        raise ARTIFACTS(
            "artifact_versions",
            name=artifact.format,
            path=folder / NAME,
            package="torch",
            made=made,
            here=here,
        )
