"""What `stage=submit` left in an output for its jobs, and what they have done: each series settles by itself.

output/.jobs/
├── series.json      the submitted series in the order of summary.csv, each with its files and its digest
└── <digest>.json    one for each settled series: its row of summary.csv

Whoever settles a series writes its record, then summary.csv from all records there are: the last one makes it whole.
The digest of a series covers its files (names, sizes, times) and the settings, so that a record says what it is of.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from apps.nodule.reasons import ACCEPTED, BAD_INPUT, QUARANTINED
from apps.nodule.report.summary import SUMMARY_FILE, write_summary
from core.errors import OutputError
from core.runs.files import remove_partial, write_json
from core.runs.outputs import output_error
from core.runs.quarantine import FOLDER as QUARANTINE

FOLDER = ".jobs"
_DIGITS = 32


@dataclass(frozen=True)
class Submitted:
    """One submitted series.

    id: as in summary.csv. digest: of its files and of the settings. kind: of `data.series.SeriesItem`. files: all files
    of its SeriesInstanceUID, relative to the input's folder.
    """

    id: str
    digest: str
    kind: str
    files: tuple[str, ...]


class Submission:
    """The series submitted into one output."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.folder = output / FOLDER

    def begin(self, base: Path, series: Sequence[Submitted]) -> None:
        """List the series in place of those submitted before, whose records go unless they are of these too.

        base: folder of the input. Raises InputError where the output cannot be written.
        """
        write_json(
            self.folder / "series.json", {"base": str(base), "series": [asdict(one) for one in series]}
        )
        kept = {"series.json", *(f"{one.digest}.json" for one in series)}
        try:
            for path in self.folder.iterdir():
                if path.suffix == ".json" and path.name not in kept:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise output_error(error, self.output) from error

    def read(self) -> tuple[Path, list[Submitted]]:
        """Return the folder of the input and the series. Raises InputError submission_missing."""
        try:
            content = json.loads((self.folder / "series.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BAD_INPUT("submission_missing", output=self.output) from None
        listed = [Submitted(**{**one, "files": tuple(one["files"])}) for one in content["series"]]
        return Path(content["base"]), listed

    def row(self, one: Submitted) -> dict[str, Any] | None:
        """Return the row of a series that is settled for good and whose results are there, else None."""
        record = self._record(one)
        if record is None or not record["final"]:
            return None
        row: dict[str, Any] = record["row"]
        results = {
            ACCEPTED: self.output / one.id / "report.json",
            QUARANTINED: self.output / QUARANTINE / f"{one.id}.json",
        }
        kept = results.get(row["status"])
        return row if kept is None or kept.is_file() else None

    def settle(self, one: Submitted, row: Mapping[str, Any], *, final: bool = True) -> None:
        """Keep the row of a series; final=False: it is tried again when it is submitted again."""
        write_json(self.folder / f"{one.digest}.json", {"row": dict(row), "final": final})

    def assemble(self) -> tuple[int, int]:
        """Write summary.csv from the records; return how many series are settled, and of how many.

        Two may do this at once: who has written looks again, and writes once more what came meanwhile.
        """
        _, series = self.read()
        rows = self._rows(series)
        while True:
            written = rows
            try:
                write_summary(self.output / SUMMARY_FILE, written)
            except OutputError as error:
                # another one, who found all settled, has swept our temporary file away
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
            else:
                rows = self._rows(series)
                if rows == written:
                    break
        if len(rows) == len(series):
            for folder in (self.output, self.output / QUARANTINE, self.folder):
                remove_partial(folder)  # of workers that were killed
        return len(rows), len(series)

    def _rows(self, series: Sequence[Submitted]) -> list[dict[str, Any]]:
        records = (self._record(one) for one in series)
        return [record["row"] for record in records if record is not None]

    def _record(self, one: Submitted) -> dict[str, Any] | None:
        with contextlib.suppress(FileNotFoundError):
            content: dict[str, Any] = json.loads(
                (self.folder / f"{one.digest}.json").read_text(encoding="utf-8")
            )
            return content
        return None


def digest_of(base: Path, identity: str, files: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return a digest of a series' files by name, size and time, and of the settings; a missing file changes it."""
    whole = hashlib.sha256(json.dumps([identity, settings], sort_keys=True).encode())
    for name in sorted(files):
        try:
            status = (base / name).stat()
            known = [name, status.st_size, status.st_mtime_ns]
        except OSError:
            known = [name]
        whole.update(json.dumps(known).encode())
    return whole.hexdigest()[:_DIGITS]


def forget_submission(output: Path) -> None:
    """Remove what `stage=submit` left in an output: what is written there from now on is not of its jobs."""
    try:
        shutil.rmtree(output / FOLDER)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise output_error(error, output) from error
