"""Archives for TorchServe, and studies to send to it."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

from apps.nodule.export import networks_of
from apps.nodule.torchserve_handler import archive_of
from core.export.to_torchserve import pack, write
from tests.deploy.networks import detector


def nodule_archive(folder: Path, weights: Path, version: str | None = None) -> Path:
    """Write the archive of a detector as an export does, without its checks, and return it."""
    own = detector(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        files = [write(network, folder / network.name)[0] for network in networks_of(own, [], list)]
    archive = archive_of(own)
    return pack(replace(archive, version=version or archive.version), files, folder)


def zipped_folder(folder: Path) -> bytes:
    """Return all files of a folder as a zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return stream.getvalue()
