"""What an export costs and gives: every format that is installed here, checked beside PyTorch and by the task."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.export.formats import installed
from core.export.manifest import Manifest
from core.export.report import UNJUDGED


def measure_export(export: Callable[[list[str], Path], Manifest], folder: Path) -> dict[str, Any]:
    """Export to a folder in all formats that are installed, and return what the manifest says, in plain JSON types.

    export: formats and folder → manifest.
    """
    formats = [one.name for one in installed()]
    start = time.monotonic()
    manifest = export(formats, folder)
    seconds = time.monotonic() - start
    artifacts = [asdict(one) for one in manifest.artifacts]
    for one in artifacts:
        for name in ("files", "inputs", "outputs", "axes", "cases", "versions"):
            del one[name]
        one["ratio"] = round(one["ratio"], 2)
    return {
        "headline": {"formats": str(len(formats)), "minutes": f"{seconds / 60:.1f}", **_best(manifest)},
        "weights": manifest.model,
        "task": manifest.task,
        "formats": formats,
        "export_seconds": round(seconds, 1),
        "artifacts": artifacts,
        "absent": [asdict(one) for one in manifest.absent],
    }


def card_table(results: Mapping[str, Any]) -> str:
    """Return the table of a record's formats in Markdown, for a model card."""
    lines = [
        "| network | format | largest error | times as fast as PyTorch | MB | task |",
        "|---|---|---|---|---|---|",
    ]
    for one in results["artifacts"]:
        task = ", ".join(
            f"{name} {metric['before']:.4g} → {metric['after']:.4g}"
            for name, metric in one["metrics"].items()
        )
        lines.append(
            f"| {one['network']} | {one['format']} | {one['error']:.0e} | {one['ratio']:.2f} "
            f"| {one['bytes'] / 1e6:.1f} | {task or UNJUDGED} |"
        )
    asked = {one["format"] for one in (*results["artifacts"], *results["absent"])}
    absent: dict[tuple[str, str], list[str]] = {}
    for one in results["absent"]:
        absent.setdefault((one["network"], f"{one['status']}: {one['why']}"), []).append(one["format"])
    for (network, why), formats in absent.items():
        held = "every format" if set(formats) == asked else ", ".join(formats)
        lines.append(f"| {network} | {held} | – | – | – | {why} |")
    return "\n".join(lines)


def _best(manifest: Manifest) -> dict[str, str]:
    """Return for each network its fastest format, "2.5× (openvino)"."""
    networks = dict.fromkeys(one.network for one in manifest.artifacts)
    best = {
        network: max((one for one in manifest.artifacts if one.network == network), key=lambda one: one.ratio)
        for network in networks
    }
    return {
        network: f"{one.ratio:.1f}\N{MULTIPLICATION SIGN} ({one.format})" for network, one in best.items()
    }
