"""Every format of riskformer's networks that is installed: error, speed, and the losses on a table before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.risk.config import DataConfig, RiskConfig
from apps.risk.export import export
from apps.risk.models.risk_model import DEFAULT, EMBEDDED
from apps.risk.models.riskformer import ROWS
from apps.risk.models.riskformer_event import CHUNK
from benchmarks.exports import measure_export
from core.export.manifest import Manifest
from core.runs.folder import Run

SAMPLES = {"series": ("markets", DEFAULT), "event": ("loan_book", EMBEDDED / "loan_book")}


def run(cache: str = ".cache/risk") -> dict[str, Any]:
    """Return what the manifests of the embedded models say. cache: folder for the exports and their runs."""
    parts = {name: _measured(name, Path(cache)) for name in SAMPLES}
    headline: dict[str, str] = {}
    for name, part in parts.items():
        own = part.pop("headline")
        headline |= {"formats": own.pop("formats"), f"minutes, {name}": own.pop("minutes"), **own}
    return {"headline": headline, "rows": ROWS, "clients": CHUNK, **parts}


def _measured(name: str, cache: Path) -> dict[str, Any]:
    sample, weights = SAMPLES[name]

    def exported(formats: list[str], output: Path) -> Manifest:
        config = RiskConfig(
            "export",
            weights=str(weights),
            output=str(output),
            formats=formats,
            data=DataConfig(sample=sample),
        )
        with (record := Run(cache / f"{name}-run", stage="export")).log:
            return export(
                config, record, on_step=lambda step: print(f"{step.network}, {step.format}: {step.outcome}")
            )

    return measure_export(exported, cache / f"{name}-exported")
