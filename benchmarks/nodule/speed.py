"""What a scan costs: seconds by part, TFLOP, and the whole command's wall time and peak memory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch.utils.flop_counter import FlopCounterMode

from apps.nodule.data.load import load
from apps.nodule.data.lung_box import locate_lungs
from apps.nodule.data.series import scan
from apps.nodule.data.volume import Volume
from apps.nodule.models.compact import SPACING_MM
from apps.nodule.models.compact_detector import FEWEST, CompactDetector
from apps.nodule.models.masses import find_masses
from apps.nodule.models.segment import segment
from apps.nodule.report.write import write_results
from benchmarks.nodule.detection_cache import weights_digest
from benchmarks.record import ROOT
from core.errors import InputError

T = TypeVar("T")

# Runs a command, then prints its memory: what a system tells of a child of ours holds what we held when it began.
_MEASURED = """
import resource, subprocess, sys
from benchmarks.record import peak_memory_mb
code = subprocess.run(sys.argv[1:]).returncode
print(peak_memory_mb(resource.getrusage(resource.RUSAGE_CHILDREN)))
sys.exit(code)
"""


def measure_speed(detector: CompactDetector, weights: str | None, folder: Path) -> dict[str, Any]:
    """Return the cost of the first accepted series of a folder. Raises InputError where there is none."""
    command = whole_command(folder, weights)
    seconds: dict[str, float] = {}
    items = _timed(seconds, "find series", lambda: scan(folder))
    accepted = [item for item in items if item.status == "accepted"]
    if not accepted:
        raise InputError("no_series", f"{folder} holds no series that is accepted")
    volume = _timed(seconds, "read", lambda: load(accepted[0]))
    parts(detector, volume, seconds)
    tera = flops(detector, volume)
    shape = volume.hu_DHW.shape
    return {
        "headline": {
            "slices": str(shape[0]),
            "wall": f"{command['seconds']:.0f} s",
            "peak memory": f"{command['peak_memory_mb'] / 1000:.1f} GB",
            "TFLOP": f"{tera:.3f}",
        },
        "weights": weights_digest(detector.net),
        "shape": list(shape),
        "spacing_mm": [round(float(s), 3) for s in volume.spacing_mm],
        "command": command,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "tflop": round(tera, 4),
    }


def whole_command(folder: Path, weights: str | None, more: Sequence[str] = ()) -> dict[str, float]:
    """Run stage=infer as a user does, with more options; return wall seconds and peak memory (MB)."""
    with tempfile.TemporaryDirectory() as results:
        words = [
            "stage=infer",
            f"input={folder.resolve()}",
            f"output={results}/out",
            f"run_dir={results}/run",
            *more,
        ]
        if weights:
            words.append(f"weights={Path(weights).resolve()}")
        start = time.monotonic()
        command = [sys.executable, "-c", _MEASURED, sys.executable, "-m", "pipelines.nodule", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        seconds = time.monotonic() - start
    if done.returncode not in (0, 4):
        raise InputError("infer_failed", f"stage=infer ended with {done.returncode}: {done.stderr[-300:]}")
    return {"seconds": round(seconds, 1), "peak_memory_mb": int(done.stdout.split()[-1])}


def parts(detector: CompactDetector, volume: Volume, seconds: dict[str, float]) -> None:
    """Take a volume to its results, noting the seconds of each part."""
    located = _timed(seconds, "lungs", lambda: locate_lungs(volume))
    box = _timed(seconds, "resample", lambda: located.fine(SPACING_MM))
    proposals = _timed(seconds, "propose", lambda: detector.propose(box, FEWEST).best(FEWEST))
    _timed(seconds, "judge", lambda: detector.judge(box.grid.hu_DHW, proposals))
    _timed(seconds, "masses", lambda: find_masses(detector.search, located))
    candidates = detector.detect(volume).candidates
    chosen = [c for c in candidates if c.probability >= detector.threshold]
    findings = _timed(seconds, "segment", lambda: [segment(volume, c) for c in chosen])
    with tempfile.TemporaryDirectory() as results:
        _timed(
            seconds,
            "write results",
            lambda: write_results(Path(results) / "series", volume, candidates, findings, detector),
        )


def flops(detector: CompactDetector, volume: Volume) -> float:
    """Return the TFLOP of both networks on a volume."""
    with FlopCounterMode(display=False) as counter:
        detector.detect(volume)
    return counter.get_total_flops() / 1e12


def _timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    start = time.monotonic()
    result = work()
    seconds[name] = time.monotonic() - start
    return result
