"""Set an input aside with its reason: one JSON file each, so that a person or a script can look later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.errors import InternalFault, output_error
from core.runs.files import write_json

_LONGEST = 200  # bytes; file systems take 255 for a name, ".json" and a temporary suffix included


class Quarantine:
    """A folder of refused inputs; it is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, item: str, code: str, sentence: str, files: Sequence[str] = ()) -> Path:
        """Write `<item>.json` with reason code, sentence and the input's files (relative names, sorted).

        Adding the same item again replaces its file. Raises InternalFault for an item that is no file name.
        """
        size = len(item.encode("utf-8", "surrogateescape"))
        if not 0 < size <= _LONGEST or item.startswith(".") or "/" in item or "\0" in item:
            raise InternalFault(
                "quarantine_id", "a quarantine id must be a plain file name of at most 200 bytes"
            )
        path = self.folder / f"{item}.json"
        write_json(path, {"id": item, "code": code, "sentence": sentence, "files": sorted(files)})
        return path

    def release(self, item: str) -> None:
        """Remove what an earlier run wrote of an item that is good now, and the folder when nothing is left in it.

        Raises InputError where it cannot be removed.
        """
        path = self.folder / f"{item}.json"
        try:
            if path.is_file():
                path.unlink()
                if not any(self.folder.iterdir()):
                    self.folder.rmdir()
        except OSError as error:
            raise output_error(error, self.folder) from error
