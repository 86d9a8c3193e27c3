"""Set inputs aside with their reason: one JSON file each, the same form in every app, for a person or a script.

    {"id": …, "code": …, "sentence": …, "files": […]}

and where only parts of an input could not be used, such as rows of a table, "parts": a list of their reasons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.runs.files import write_json
from core.runs.outputs import output_error
from core.runs.reasons import RECORDS

FOLDER = "quarantine"  # below the output of a command
_LONGEST = 200  # bytes; file systems take 255 for a name, ".json" and a temporary suffix included


class Quarantine:
    """A folder of inputs that were set aside, `output / FOLDER`; it is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, item: str) -> Path:
        """Return the file of an item, there or not. Raises InternalFault for an item that is not a valid file name."""
        size = len(item.encode("utf-8", "surrogateescape"))
        if not 0 < size <= _LONGEST or item.startswith(".") or "/" in item or "\0" in item:
            raise RECORDS("quarantine_id", bytes=_LONGEST)
        return self.folder / f"{item}.json"

    def add(
        self,
        item: str,
        code: str,
        sentence: str,
        files: Sequence[str] = (),
        parts: Sequence[Mapping[str, Any]] | None = None,
    ) -> Path:
        """Write the file of an item that was set aside, in whole or in part, and return its path.

        files: names relative to the input, written sorted. parts: where parts of the item were set aside, one mapping
        each, with at least `code` and `sentence`. Adding the same item again replaces its file.
        """
        path = self.path(item)
        content: dict[str, Any] = {"id": item, "code": code, "sentence": sentence, "files": sorted(files)}
        if parts is not None:
            content["parts"] = [dict(part) for part in parts]
        write_json(path, content)
        return path

    def release(self, item: str) -> None:
        """Remove what an earlier run wrote of an item that is good now, and the folder when nothing is left in it.

        Raises InputError where it cannot be removed.
        """
        path = self.path(item)
        try:
            if path.is_file():
                path.unlink()
                if not any(self.folder.iterdir()):
                    self.folder.rmdir()
        except OSError as error:
            raise output_error(error, self.folder) from error
