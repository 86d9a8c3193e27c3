"""What a detector sees, kept in a folder: a measurement repeated, or taken up again, computes only what is new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from apps.nodule.data.lung_box import LungBox
from apps.nodule.models.compact_detector import CompactDetector
from apps.nodule.models.findings import Candidate
from core.runs.files import write_json

APP = Path(__file__).resolve().parents[2] / "apps" / "nodule"
SHARED_CODE = ("data/lung_box.py", "data/lungs.py", "data/resample.py", "models/tiling.py")
COMPACT_CODE = (
    *SHARED_CODE,
    *("models/compact.py", "models/compact_detector.py", "models/heatmap.py"),
    *("models/masses.py", "models/radial.py", "models/segment.py"),
)
BLOB_CODE = (*SHARED_CODE, "models/blob.py")


@dataclass(frozen=True)
class Looks:
    """Answers of one detector: `identity` changes with its weights and with the code that leads to an answer."""

    folder: Path
    identity: str

    def __call__(self, scan: str, look: Callable[[], list[Candidate]]) -> list[Candidate]:
        """Return the candidates on a scan, looking only where no answer is kept."""
        path = self.folder / self.identity / f"{scan}.json"
        if path.is_file():
            rows = json.loads(path.read_text(encoding="utf-8"))
        else:
            rows = [[*c.centre_mm, c.diameter_mm, c.probability] for c in look()]
            write_json(path, rows)
        return [Candidate((x, y, z), diameter, probability) for x, y, z, diameter, probability in rows]


def weights_digest(net: nn.Module) -> str:
    """Return a digest of the numbers in a network: the same for a file whose metadata alone changed."""
    found = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def array_digest(values: np.ndarray) -> str:
    """Return a digest of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()[:16]


def code_digest(files: Iterable[str]) -> str:
    """Return a digest of source files of the app."""
    return hashlib.sha256(b"".join((APP / name).read_bytes() for name in files)).hexdigest()[:8]


def compact_looks(folder: Path, detector: CompactDetector) -> Looks:
    """Return the kept answers of a compact detector."""
    return Looks(folder, f"compact-{weights_digest(detector.net)}-{code_digest(COMPACT_CODE)}")


def blob_looks(folder: Path) -> Looks:
    """Return the kept answers of the classical baseline."""
    return Looks(folder, f"blob-{code_digest(BLOB_CODE)}")


def look_in_box(detector: CompactDetector, box: LungBox) -> list[Candidate]:
    """Do what `CompactDetector.detect` does for nodules, from a lung that is cut out already."""
    return detector.nodules(box)[0]
