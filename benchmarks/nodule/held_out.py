"""The held-out phantoms: chests and nodule outlines that no training saw, made once and kept in a folder.

Seeds go up from FIRST_SEED, outlines are of split "test" (LIDC-IDRI 0530-0899), protocols are drawn by seed.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from apps.nodule.data.phantom.phantom import Phantom, PhantomSpec, draw_spec, make_phantom
from apps.nodule.data.volume import Volume
from core.runs.files import write_bytes, write_json
from core.terminal.progress import progress

COUNT = 64
FIRST_SEED = 200_000  # what was missed on earlier ones, from 100,000 on, has shaped the training since
CANARIES = range(4)
COARSE = PhantomSpec(slice_mm=5.0, pixel_mm=2.5, anatomy_mm=4.0, split="test")


@dataclass(frozen=True)
class TrueNodule:
    """centre_mm: LPS (x, y, z). diameter_mm: of the sphere of equal volume. kind, placement: as the generator says."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    kind: str
    placement: str


@dataclass(frozen=True)
class HeldOut:
    """One phantom on disk. digest: SHA-256 of its voxels and affine; slice_mm, kernel, dose: its protocol."""

    seed: int
    digest: str
    slice_mm: float
    kernel: str
    dose: float
    nodules: tuple[TrueNodule, ...]
    path: Path

    def volume(self) -> Volume:
        """Read the voxels."""
        with np.load(self.path) as kept:
            return Volume(kept["hu"], kept["affine"], str(self.seed))


def held_out(folder: Path, count: int = COUNT) -> list[HeldOut]:
    """Return the first `count` held-out phantoms, making those (about 15 s each) that the folder lacks.

    Those that an earlier version of the generator made count as lacking.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    return [_one(folder, seed) for seed in progress(seeds, "held-out phantoms", count)]


def set_digest(phantoms: list[HeldOut]) -> str:
    """Return one digest of the whole set: results with the same one were measured on the same voxels."""
    return hashlib.sha256("".join(p.digest for p in phantoms).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def generator_digest() -> str:
    """Return a digest of what the generator makes today, from a few coarse chests (3 s).

    Code that was only rewritten gives the same digest, code that draws otherwise another one.
    """
    digest = hashlib.sha256()
    for seed in CANARIES:
        phantom = make_phantom(seed, COARSE)
        digest.update(phantom.volume.hu_DHW.tobytes())
        digest.update(repr([(n.centre_mm, n.diameter_mm) for n in phantom.nodules]).encode())
    return digest.hexdigest()[:16]


def _one(folder: Path, seed: int) -> HeldOut:
    truth = folder / f"{seed}.json"
    # the truth is written last: where it is, the voxels are whole
    known = json.loads(truth.read_text(encoding="utf-8")) if truth.is_file() else {}
    spec = draw_spec(seed, split="test")
    if known.get("generator") != generator_digest() or _spec(known) != spec:
        keep(make_phantom(seed, spec), spec, seed, folder)
        known = json.loads(truth.read_text(encoding="utf-8"))
    nodules = tuple(TrueNodule(**{**n, "centre_mm": tuple(n["centre_mm"])}) for n in known["nodules"])
    return HeldOut(
        seed, known["digest"], spec.slice_mm, spec.kernel, spec.dose, nodules, folder / f"{seed}.npz"
    )


def _spec(known: dict[str, Any]) -> PhantomSpec:
    return PhantomSpec(**{**known["spec"], "nodules": tuple(known["spec"]["nodules"])})


def keep(phantom: Phantom, spec: PhantomSpec, seed: int, folder: Path) -> None:
    """Write a phantom's voxels and, last, its truth."""
    hu = np.clip(np.rint(phantom.volume.hu_DHW), -1024, 3071).astype(np.int16)
    affine = phantom.volume.affine
    buffer = io.BytesIO()
    np.savez(buffer, hu=hu, affine=affine)
    write_bytes(folder / f"{seed}.npz", buffer.getvalue())
    digest = hashlib.sha256(hu.tobytes() + affine.astype("<f8").tobytes()).hexdigest()
    nodules = [asdict(TrueNodule(n.centre_mm, n.diameter_mm, n.kind, n.placement)) for n in phantom.nodules]
    truth = {"digest": digest, "spec": asdict(spec), "nodules": nodules, "generator": generator_digest()}
    write_json(folder / f"{seed}.json", truth)
