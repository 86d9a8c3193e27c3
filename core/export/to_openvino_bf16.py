"""OpenVINO that computes in bfloat16; weights are stored in float16, half the size."""

from __future__ import annotations

from pathlib import Path

from core.export.network import Network, Runner
from core.export.to_openvino import compiled, converted, save


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.xml and `path`.bin and return them, the .xml first."""
    return save(converted(network), path, half=True)


def load(file: Path, threads: int | None) -> Runner:
    """Return the compiled model as a callable."""
    return compiled(file, threads, "bf16")


def lacking() -> str | None:
    """Return what this processor lacks, None where it computes in bfloat16."""
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return None if "BF16" in able else "this processor has no bfloat16 instructions (avx512_bf16 or amx_bf16)"
