"""Detections kept in a folder: a measurement that is repeated or resumed computes only what is new."""

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

ROOT = Path(__file__).resolve().parents[2]
APP = "apps/nodule"
SHARED_CODE = tuple(
    f"{APP}/{name}" for name in ("data/lung_box.py", "data/lungs.py", "data/resample.py", "models/tiling.py")
)
COMPACT_CODE = (
    *SHARED_CODE,
    *(
        f"{APP}/models/{name}.py"
        for name in ("compact", "compact_detector", "heatmap", "masses", "radial", "segment")
    ),
)
BLOB_CODE = (*SHARED_CODE, "benchmarks/nodule/blob.py")


@dataclass(frozen=True)
class DetectionCache:
    """Answers of one detector: `identity` changes with its weights and with the code that leads to an answer."""

    folder: Path
    identity: str

    def __call__(self, scan: str, run_detector: Callable[[], list[Candidate]]) -> list[Candidate]:
        """Return the candidates on a scan, running the detector only where no answer is kept."""
        path = self.folder / self.identity / f"{scan}.json"
        if path.is_file():
            rows = json.loads(path.read_text(encoding="utf-8"))
        else:
            rows = [[*c.centre_mm, c.diameter_mm, c.probability] for c in run_detector()]
            write_json(path, rows)
        return [Candidate((x, y, z), diameter, probability) for x, y, z, diameter, probability in rows]


def weights_digest(net: nn.Module) -> str:
    """Return a digest of the numbers in a network: the same for a file whose metadata alone changed."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def array_digest(values: np.ndarray) -> str:
    """Return a digest of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()[:16]


def code_digest(files: Iterable[str]) -> str:
    """Return a digest of source files, named from the root of the project."""
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files)).hexdigest()[:8]


def compact_cache(folder: Path, detector: CompactDetector) -> DetectionCache:
    """Return the kept answers of a compact detector."""
    return DetectionCache(folder, f"compact-{weights_digest(detector.net)}-{code_digest(COMPACT_CODE)}")


def blob_cache(folder: Path) -> DetectionCache:
    """Return the kept answers of the classical baseline."""
    return DetectionCache(folder, f"blob-{code_digest(BLOB_CODE)}")


def detect_in_box(detector: CompactDetector, box: LungBox) -> list[Candidate]:
    """Do what `CompactDetector.detect` does for nodules, from a lung that is cut out already."""
    return detector.nodules(box)[0]
