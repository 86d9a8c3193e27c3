"""Every format of the detector, and what a scan costs in each that runs here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.nodule.config import DataConfig, ExportConfig, ModelConfig, NoduleConfig
from apps.nodule.export import export
from apps.nodule.models.compact_detector import load_compact
from benchmarks.exports import measure_export
from benchmarks.nodule.detection_cache import weights_digest
from benchmarks.nodule.speed import whole_command
from core.export.formats import FORMATS
from core.export.manifest import Manifest
from core.runs.log import RunLog


def measure_formats(weights: str | None, scan: Path, cache: Path, scans: int) -> dict[str, Any]:
    """Return what the manifest says, and the whole command's seconds on the scan, by runtime.

    scans: generated chests on which CPM is measured before and after.
    """
    folder = cache / "exported"

    def exported(formats: list[str], output: Path) -> Manifest:
        data = DataConfig(cache=str(cache / "export"))
        config = NoduleConfig(
            "export",
            weights=weights,
            output=str(output),
            formats=formats,
            data=data,
            export=ExportConfig(scans=scans),
        )
        with RunLog(cache / "export.jsonl") as log:
            return export(
                config, log, on_step=lambda step: print(f"{step.network}, {step.format}: {step.outcome}")
            )

    result = measure_export(exported, folder)
    result["weights"] = weights_digest(load_compact(ModelConfig(device="cpu"), weights).net)
    runtimes = [
        one for one in dict.fromkeys(a["format"] for a in result["artifacts"]) if FORMATS[one].runtime
    ]
    result["infer"] = {"pytorch": whole_command(scan, weights)} | {
        name: whole_command(scan, weights, [f"artifacts={folder.resolve()}", f"runtime={name}"])
        for name in runtimes
    }
    fastest = min(result["infer"].items(), key=lambda pair: pair[1]["seconds"])
    result["headline"]["scan"] = f"{fastest[1]['seconds']:.1f} s ({fastest[0]})"
    return result
