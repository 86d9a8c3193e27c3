"""Folders of studies under way, private to this user; what a service that was killed left there is removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from starlette.requests import Request

from apps.nodule.reasons import STUDY
from core.runs.files import make_folder


class Workspace:
    """The folder of one running service below the system's folder for temporary files."""

    def __init__(self, base: Path | None = None) -> None:
        self._base = base or Path(tempfile.gettempdir()) / f"triptych-studies-{os.getuid()}"
        self._own = self._base / str(os.getpid())

    def open(self) -> int:
        """Make the folder, remove those of services that are gone, and return how many these were."""
        make_folder(self._base).chmod(0o700)
        gone = [path for path in self._base.iterdir() if path != self._own and not _is_alive(path.name)]
        for path in gone:
            shutil.rmtree(path, ignore_errors=True)
        make_folder(self._own)
        return len(gone)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self._own, ignore_errors=True)

    def new(self) -> Path:
        """Return a new empty folder for one study. Raises InputError, study_no_room."""
        try:
            return Path(tempfile.mkdtemp(dir=self._own))
        except OSError as error:
            raise STUDY("study_no_room") from error


async def receive_body(request: Request, file: Path) -> None:
    """Write the body of a request to a file as it comes. Raises InputError, study_no_room, or as the gate does."""
    try:
        with file.open("wb") as target:
            async for chunk in request.stream():
                target.write(chunk)
    except OSError as error:
        raise STUDY("study_no_room") from error


def _is_alive(name: str) -> bool:
    try:
        os.kill(int(name), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
