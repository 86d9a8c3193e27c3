"""What a run ran on and from: packages, device, commit, seed, command. Imports nothing heavy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Instruction sets that change the numbers or the speed of tensor code.
ISA_PREFIXES = ("sse4", "avx", "fma", "amx", "f16c", "bf16", "asimd", "sve", "sme", "i8mm", "neon")
NO_ISA = ("smep",)  # a memory protection, not Arm's SME


def provenance(seed: int | None, command: Sequence[str]) -> dict[str, Any]:
    """Return the record as plain JSON types; what cannot be determined is null or empty, never guessed."""
    return {
        "command": list(command),
        "seed": seed,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": packages(),
        "device": device(),
        "git": commit(Path(__file__).resolve().parents[2]),
    }


def packages() -> dict[str, str]:
    """Return name and version of every installed distribution."""
    versions = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions[name.lower()] = distribution.version
    return dict(sorted(versions.items()))


def device() -> dict[str, Any]:
    """Return processor, cores this process may use, memory (bytes), instruction sets, and GPUs by name."""
    cpu, flags = _cpu()
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": _memory_bytes(),
        "isa": sorted(flag for flag in flags if flag.startswith(ISA_PREFIXES) and flag not in NO_ISA),
        "gpus": _gpus(),
    }


def commit(root: Path) -> dict[str, Any] | None:
    """Return the git commit of the checkout and whether it was changed since; None outside a checkout."""
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        changed = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": head, "changed": changed}


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()


def _cpu() -> tuple[str | None, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or None, set()
    lines = (line.partition(":") for line in text.splitlines())
    entries = {key.strip(): value.strip() for key, _, value in lines}
    return entries.get("model name"), set(entries.get("flags", entries.get("Features", "")).split())


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _gpus() -> list[str]:
    """Read the NVIDIA driver's own list: it needs no torch."""
    names = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                names.append(value.strip())
    return names
