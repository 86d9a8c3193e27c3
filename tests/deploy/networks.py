"""The detector's networks as an export writes them, without its checks."""

from __future__ import annotations

from pathlib import Path

from apps.nodule.config import ModelConfig
from apps.nodule.export import networks_of
from apps.nodule.models.compact_detector import CompactDetector, load_compact
from core.export.formats import FORMATS, backend_of
from tests.core.export.own_process import in_own_process


def detector(weights: Path | None = None) -> CompactDetector:
    """In PyTorch on the CPU; without a file the embedded weights."""
    return load_compact(ModelConfig(device="cpu"), str(weights) if weights is not None else None)


def write_networks(folder: Path, *words: str) -> Path:
    """Write networks of the embedded weights to a folder, each as NETWORK:FORMAT, and return it."""
    folder.mkdir()
    in_own_process(_write, folder, *words)
    return folder


def _write(folder: str, *words: str) -> None:
    networks = {network.name: network for network in networks_of(detector(), [], list)}
    for word in words:
        network, form = word.split(":")
        backend_of(FORMATS[form]).write(networks[network], Path(folder) / network)
