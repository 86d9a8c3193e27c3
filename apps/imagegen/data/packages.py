"""Public packages that carry pictures and words, fetched by npm's own client and checked by their hash.

Source of the pictures: Microsoft's Fluent Emoji, MIT. Source of the words: emojibase, MIT.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apps.imagegen.reasons import PACKAGE
from core.runs.files import make_folder, write_bytes

_SECONDS = 600  # a slow line, 16 MB


@dataclass(frozen=True)
class Package:
    """One release of an npm package. sha512: of its archive, base64, as npm writes it."""

    name: str
    version: str
    licence: str
    sha512: str

    @property
    def archive(self) -> str:
        """Return the name that `npm pack` gives the archive."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


FLUENT = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "MIT",
    "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
)
WORDS = Package(
    "emojibase-data",
    "17.0.0",
    "MIT",
    "Yvgb5AWoHViHV/gq1qr5ZAarcBip+B27/ZLRsUJkbgAEaLlZ/fof9g882LTpmEpyhBNEC0m2SEmItljHsTygjA==",
)
OTHER_STYLE = Package(
    "emoji-datasource-google",
    "16.0.0",
    "MIT",
    "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
)
INCEPTION = Package(
    "nsfwjs",
    "4.4.0",
    "MIT",
    "krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==",
)


def archive_of(package: Package, cache: Path) -> Path:
    """Return the package's archive below `cache`, fetched where it is not there.

    Raises InputError: npm_missing, package_unreachable, package_changed (its bytes are not those that were checked).
    """
    path = cache / package.archive
    if not path.is_file():
        write_bytes(path, _fetch(package, make_folder(cache)))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode("ascii")
    if digest != package.sha512:
        raise PACKAGE("package_changed", path=path, name=package.name, version=package.version)
    return path


def files_of(archive: Path, folder: str, suffix: str) -> dict[str, bytes]:
    """Return the files of one folder of an archive, by name: `folder` as inside the package, "." for its top."""
    below = Path("package") / folder
    with tarfile.open(archive, "r:gz") as tar:
        return {
            Path(member.name).name: stream.read()
            for member in tar
            if Path(member.name).parent == below and member.name.endswith(suffix)
            if (stream := tar.extractfile(member)) is not None
        }


def _fetch(package: Package, cache: Path) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise PACKAGE("npm_missing", name=package.name, archive=package.archive, folder=cache)
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{package.name}@{package.version}", "--silent"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS)
            return (Path(folder) / package.archive).read_bytes()
        except (OSError, subprocess.SubprocessError) as error:
            raise PACKAGE(
                "package_unreachable",
                name=package.name,
                version=package.version,
                archive=package.archive,
                folder=cache,
            ) from error
