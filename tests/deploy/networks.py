"""The detector's networks as an export writes them, without its checks.

`python -m tests.deploy.networks FOLDER NETWORK:FORMAT …` writes them; a process of its own, since some compilers do not
share one with other libraries.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from apps.nodule.config import ModelConfig
from apps.nodule.export import networks_of
from apps.nodule.models.compact_detector import CompactDetector, load_compact
from core.export.formats import FORMATS, backend_of

ROOT = Path(__file__).resolve().parents[2]


def detector() -> CompactDetector:
    """The embedded one, in PyTorch on the CPU."""
    return load_compact(ModelConfig(device="cpu"), None)


def write_networks(folder: Path, *words: str) -> Path:
    """Write networks to a folder, each as NETWORK:FORMAT, and return it."""
    folder.mkdir()
    command = [sys.executable, "-W", "ignore", "-m", "tests.deploy.networks", str(folder), *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def main(folder: Path, *words: str) -> None:
    networks = {network.name: network for network in networks_of(detector(), [], list)}
    for word in words:
        network, form = word.split(":")
        backend_of(FORMATS[form]).write(networks[network], folder / network)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
