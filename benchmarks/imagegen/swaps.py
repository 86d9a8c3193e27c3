"""Whether memory stays flat while many adapters are used in turn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from apps.imagegen.models.adapter_file import Update, write_adapter
from apps.imagegen.models.adapters import AdapterCache
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from benchmarks.command_line import whole

PROTOCOL = (
    "Adapters of rank 4 on every attention layer of the U-Net are used in turn, each at its own scale, as requests "
    "would: read, added to the weights, taken out. Resident memory of the process is noted after a fifth of the swaps "
    "and at the end; the adapters' cap is 64 MB, which is full by then."
)
_ADAPTERS, _RANK, _CAP_MB = 25, 4, 64.0


def run(model: str = "", swaps: str = "1000") -> dict[str, Any]:
    """Return the record. model: folder of a pipeline, empty: the embedded one. Raises InputError as load_pipeline."""
    pipeline, count = load_pipeline(Path(model) if model else None), whole("swaps", swaps)
    with tempfile.TemporaryDirectory() as folder:
        names = _write(Path(folder), pipeline)
        adapters = AdapterCache(Path(folder), pipeline, kept_mb=_CAP_MB)
        resident_mb, held_mb = [], []
        for turn in range(count):
            name = names[turn % len(names)]
            with adapters.use(name, 0.5 + turn % 40 / 40, adapters.digest(name)):
                held_mb.append(adapters.held() / 1e6)
            resident_mb.append(_resident_mb())
    early, late = resident_mb[count // 5], resident_mb[-1]
    return {
        "headline": {"growth over the last four fifths": f"{late - early:+.1f} MB"},
        "protocol": PROTOCOL,
        "model": pipeline.digest,
        "swaps": count,
        "cap_mb": _CAP_MB,
        "held_mb_most": round(max(held_mb), 3),
        "resident_mb_first": round(resident_mb[0], 1),
        "resident_mb_after_a_fifth": round(early, 1),
        "resident_mb_most": round(max(resident_mb), 1),
        "resident_mb_last": round(late, 1),
    }


def _write(folder: Path, pipeline: Pipeline) -> list[str]:
    """Write random adapters and return their names."""
    layers = {
        name: module
        for name, module in pipeline.unet.named_modules()
        if isinstance(module, torch.nn.Linear) and name.endswith(("to_q", "to_k", "to_v", "to_out.0"))
    }
    names = [f"adapter-{number:02d}" for number in range(_ADAPTERS)]
    for number, name in enumerate(names):
        generator = torch.Generator().manual_seed(number)
        updates = {
            layer: Update(
                torch.randn((_RANK, module.in_features), generator=generator),
                torch.randn((module.out_features, _RANK), generator=generator),
                _RANK,
            )
            for layer, module in layers.items()
        }
        (folder / f"{name}.safetensors").write_bytes(write_adapter(updates, {}))
    return names


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
