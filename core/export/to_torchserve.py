"""An archive for TorchServe (.mar): all networks of an app in TorchScript, and the app's handler that calls them.

A .mar is a zip with MAR-INF/MANIFEST.json. Source: model-archiver/README.md of pytorch/serve 0.12, whose own tool
writes the same fields; without that tool the same files give the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.export import to_torchscript
from core.export.network import Network, Runner

MANIFEST = "MAR-INF/MANIFEST.json"
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can name


@dataclass(frozen=True)
class Archive:
    """What an app declares of its archive.

    name, version: of the model in the server. handler: Python file with one class that has `initialize` and `handle`;
    it finds <network>.pt of each network beside itself. files: name → content, of others beside it. config: which of
    them configures the model in the server, as TorchServe's model-config.yaml does.
    """

    name: str
    version: str
    handler: Path
    files: Mapping[str, bytes]
    config: str | None = None


def write(network: Network, path: Path) -> list[Path]:
    """Write `path`.pt, the network as it goes into the archive, and return it."""
    return to_torchscript.write(network, path)


def load(file: Path, threads: int | None) -> Runner:
    """Return the network as the handler runs it."""
    return to_torchscript.load(file, threads)


def pack(archive: Archive, networks: Sequence[Path], folder: Path) -> Path:
    """Write an archive with the files of its networks to `folder`/<name>.mar, and return it."""
    model = {"modelName": archive.name, "modelVersion": archive.version, "handler": archive.handler.name}
    if archive.config is not None:
        model["configFile"] = archive.config
    manifest = {"runtime": "python", "model": model, "archiverVersion": "0.12.0"}
    content = {
        MANIFEST: json.dumps(manifest, indent=2).encode(),
        archive.handler.name: archive.handler.read_bytes(),
        **archive.files,
        **{file.name: file.read_bytes() for file in networks},
    }
    path = folder / f"{archive.name}.mar"
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in content.items():
            packed.writestr(zipfile.ZipInfo(name, _EARLIEST), data, zipfile.ZIP_DEFLATED)
    return path
