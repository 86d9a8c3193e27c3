"""stage=infer: every series of a folder, from its files to its findings; one bad series never stops the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from apps.nodule.config import NoduleConfig
from apps.nodule.data.load import load
from apps.nodule.data.series import PART, SeriesItem, scan
from apps.nodule.data.volume import Volume
from apps.nodule.models.build import build_detector
from apps.nodule.models.detector import Detector
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.segment import segment
from apps.nodule.reasons import ACCEPTED, BAD_INPUT, QUARANTINED, SKIPPED, Note, Reason, fault, verdict_of
from apps.nodule.report.tables import notes
from apps.nodule.report.write import remove_results, write_results
from core.errors import ExitCode, InputError, ItemRefused, where_of
from core.runs.files import make_folder, write_csv
from core.runs.folder import Run, records_of
from core.runs.log import RunLog, pseudonym
from core.runs.quarantine import FOLDER, Quarantine
from core.terminal.notes import print_set_aside
from core.terminal.progress import progress

# Column of summary.csv → what it holds; the documentation shows it.
SUMMARY = {
    "series": "series instance UID, with -part-<n> where a series was split, or file stem: the folder of its results",
    "status": "accepted, skipped (by rule, no fault) or quarantined",
    "reason": "one stable reason code",
    "detail": "sentences for people: the reason, then the notes",
    "notes": "codes of repairs and peculiarities, separated by spaces",
    "files": "number of files of the series",
    "findings": "number of findings; empty where the series was not searched",
    "candidates": "number of candidates; empty where the series was not searched",
    "study_uid": "study instance UID of the source; empty for a volume",
    "series_description": "series description of the source",
}
SUMMARY_COLUMNS = tuple(SUMMARY)
SUMMARY_FILE = "summary.csv"


@dataclass(frozen=True, eq=False)
class SeriesResult:
    """What became of one series.

    series: SeriesInstanceUID (`<uid>-part-<n>` for one of several stacks of images in it), or a volume file's stem.
    status: "accepted"; "skipped" by a rule of this application; or "quarantined" for a fault. code, sentence: why, the
        code stable and the sentence free of patient data.
    files: those of the series. volume: its CT, where it was accepted: the findings lie on its grid.
    candidates: by falling probability. findings: those at or above the detector's threshold, with their masks.
    study_uid, description: of a DICOM series, as its header has them; else empty.

    >>> import numpy as np
    >>> from apps.nodule import detect_array
    >>> result = detect_array(np.zeros((5, 64, 64)), spacing_mm=(2.5, 0.8, 0.8))
    >>> result.status, result.code, result.volume
    ('skipped', 'too_few_slices', None)
    >>> result.sentence
    'The series has 5 slices; a chest needs at least 20.'
    """

    series: str
    status: str
    code: str
    sentence: str
    files: tuple[Path, ...] = ()
    volume: Volume | None = None
    candidates: tuple[Candidate, ...] = ()
    findings: tuple[Finding, ...] = ()
    study_uid: str = ""
    description: str = ""

    @property
    def notes(self) -> tuple[Note, ...]:
        """Repairs, peculiarities and limits of the search that a reader should know."""
        return self.volume.notes if self.volume is not None else ()


def infer(source: Path, detector: Detector, *, leave_out: Collection[Path] = ()) -> Iterator[SeriesResult]:
    """Search every series of a folder, or of one file, in a fixed order, one at a time as the caller iterates.

    leave_out: folders not to enter. Raises InputError, at once, where the input does not exist or holds no file.
    """
    return (search(item, detector) for item in _series_of(source, leave_out))


def _series_of(source: Path, leave_out: Iterable[Path]) -> list[SeriesItem]:
    items = scan(source, leave_out=leave_out)
    if not items:
        raise BAD_INPUT("input_empty", path=source)
    return items


def search(item: SeriesItem, detector: Detector) -> SeriesResult:
    """Take one series from its files to its findings; a series that cannot be read gives its reason."""
    result = _result(item, Reason(item.status, item.code, item.sentence))
    if item.status != ACCEPTED:
        return result
    try:
        volume, candidates, findings = search_volume(load(item), detector)
    except (ItemRefused, MemoryError) as error:
        return quarantined(item, error)
    return replace(result, volume=volume, candidates=candidates, findings=findings)


def search_volume(
    volume: Volume, detector: Detector
) -> tuple[Volume, tuple[Candidate, ...], tuple[Finding, ...]]:
    """Return the volume with the notes of the search, the candidates, and the findings among them."""
    detection = detector.detect(volume)
    volume = replace(volume, notes=(*volume.notes, *detection.notes))
    candidates = tuple(detection.candidates)
    findings = tuple(segment(volume, c) for c in candidates if c.probability >= detector.threshold)
    return volume, candidates, findings


def quarantined(item: SeriesItem, error: ItemRefused | MemoryError | None = None) -> SeriesResult:
    """Return the result of a series that could not be searched; without an error it is a defect of the program."""
    if isinstance(error, ItemRefused):
        reason = verdict_of(error)
    else:
        reason = fault("out_of_memory" if error is not None else "internal_fault")
    return _result(item, reason)


def _result(item: SeriesItem, reason: Reason) -> SeriesResult:
    return SeriesResult(
        item.id,
        reason.status,
        reason.code,
        reason.sentence,
        item.files,
        study_uid=item.study,
        description=item.description,
    )


def run(cfg: NoduleConfig, run: Run) -> int:
    """Read `cfg.input`, write results under `cfg.output`; return 4 where a series was quarantined, else 0.

    Results and records of an earlier run are not read as input, so both may lie below the input. Raises InputError
    where the input holds nothing, or the output cannot be written.
    """
    source, output = Path(str(cfg.input)), make_folder(Path(str(cfg.output)))
    if source.exists() and output.samefile(source):
        raise BAD_INPUT("output_is_input", path=output)
    items = _series_of(source, (output, run.path, records_of("nodule")))
    detector = build_detector(cfg.model, cfg.weights, cfg.artifacts, cfg.runtime)
    rows = search_into(progress(items, "series"), detector, source, output, run.log)
    return _finish(rows, output / SUMMARY_FILE, run)


def search_into(
    items: Iterable[SeriesItem], detector: Detector, source: Path, output: Path, log: RunLog
) -> list[dict[str, Any]]:
    """Search series of a folder and write all that stage=infer writes of them; return the rows of summary.csv.

    Raises InputError where the output cannot be written.
    """
    quarantine = Quarantine(output / FOLDER)
    rows = []
    for item in items:
        result = _search_and_write(item, detector, output, log)
        _settle(item, result, output, quarantine, source)
        rows.append(summary_row(result))
        # Its voxels would otherwise be held while the next series is read.
        del result
    write_summary(output / SUMMARY_FILE, rows)
    return rows


def _search_and_write(item: SeriesItem, detector: Detector, output: Path, log: RunLog) -> SeriesResult:
    """Search one series and write its results; whatever is wrong with it ends in the result, not in an exception."""
    try:
        result = search(item, detector)
        if result.volume is not None:
            write_results(output / item.id, result.volume, result.candidates, result.findings, detector)
        return result
    except (ItemRefused, MemoryError) as error:
        return quarantined(item, error)
    except InputError:
        raise  # the output, not the series: no other series could be written either
    except Exception as error:
        log.event("fault", item=pseudonym(item.id), type=type(error).__name__, where=where_of(error))
        return quarantined(item)


def _settle(
    item: SeriesItem, result: SeriesResult, output: Path, quarantine: Quarantine, source: Path
) -> None:
    """Quarantine a series with its reason, and remove what an earlier run wrote that no longer holds."""
    if result.status != ACCEPTED:
        remove_results(output / item.id)
    if result.status == QUARANTINED:
        quarantine.add(item.id, result.code, result.sentence, _relative(item, source))
    else:
        quarantine.release(item.id)
    _remove_former_parts(item, output, quarantine)


def _remove_former_parts(item: SeriesItem, output: Path, quarantine: Quarantine) -> None:
    """Remove what an earlier run wrote of the same series when it was whole and is now split, or the reverse."""
    if item.kind != "dicom":
        return
    uid = item.series
    parts = {path.name for path in output.glob(f"{uid}{PART}*")}
    parts |= {path.stem for path in quarantine.folder.glob(f"{uid}{PART}*.json")}
    for name in sorted(parts) if item.id == uid else [uid]:
        remove_results(output / name)
        quarantine.release(name)


def summary_row(result: SeriesResult) -> dict[str, Any]:
    """Return the row of summary.csv of a series, by column (SUMMARY says what each holds)."""
    known = notes(result.volume, result.findings) if result.volume is not None else []
    searched = result.volume is not None
    values = (
        result.series,
        result.status,
        result.code,
        " ".join([result.sentence, *(note.sentence for note in known)]),
        " ".join(note.code for note in known),
        len(result.files),
        len(result.findings) if searched else "",
        len(result.candidates) if searched else "",
        result.study_uid,
        result.description,
    )
    return dict(zip(SUMMARY_COLUMNS, values, strict=True))


def write_summary(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write summary.csv, a row for each series; raises OutputError where it cannot be written."""
    write_csv(path, SUMMARY_COLUMNS, [tuple(row.values()) for row in rows])


def _relative(item: SeriesItem, source: Path) -> list[str]:
    base = source if source.is_dir() else source.parent
    # A name from an old CD need not be UTF-8, a JSON file must.
    return [
        os.fsencode(path.relative_to(base)).decode("utf-8", errors="backslashreplace") for path in item.files
    ]


def _finish(rows: list[dict[str, Any]], summary: Path, run: Run) -> int:
    counts = Counter(row["status"] for row in rows)
    findings = sum(row["findings"] or 0 for row in rows)
    numbers = {name: counts[name] for name in (ACCEPTED, SKIPPED, QUARANTINED)}
    run.write_metrics({**numbers, "findings": findings})
    run.log.event("inferred", count=findings, **numbers)
    for status, verb in ((QUARANTINED, "were quarantined"), (SKIPPED, "were skipped")):
        reasons = [(row["reason"], row["detail"]) for row in rows if row["status"] == status]
        print_set_aside("series", len(rows), reasons, summary, verb)
    return ExitCode.QUARANTINED if counts[QUARANTINED] else ExitCode.DONE
