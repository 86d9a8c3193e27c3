"""stage=infer: every series of a folder, from its files to its findings; one bad series never stops the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
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
from apps.nodule.report.submission import forget_submission
from apps.nodule.report.summary import SUMMARY_COLUMNS, SUMMARY_FILE, write_summary
from apps.nodule.report.tables import notes
from apps.nodule.report.write import remove_results, write_results
from core.errors import ExitCode, InputError, ItemRefused, where_of
from core.runs.files import make_folder, remove_partial
from core.runs.folder import Run, records_of
from core.runs.log import RunLog, pseudonym
from core.runs.quarantine import FOLDER, Quarantine
from core.terminal.notes import print_set_aside
from core.terminal.progress import progress


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


def search(item: SeriesItem, detector: Detector, step: Callable[[], None] = lambda: None) -> SeriesResult:
    """Take one series from its files to its findings; a series that cannot be read gives its reason.

    step: called once its voxels are read.
    """
    result = result_of(item, Reason(item.status, item.code, item.sentence))
    if item.status != ACCEPTED:
        return result
    try:
        volume = load(item)
        step()
        volume, candidates, findings = search_volume(volume, detector)
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
    return result_of(item, reason)


def result_of(item: SeriesItem, reason: Reason) -> SeriesResult:
    """Return the result of a series that was not searched."""
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
    source, output = Path(str(cfg.input)), Path(str(cfg.output))
    items = series_between(source, output, run)
    detector = build_detector(cfg.model, cfg.weights, cfg.artifacts, cfg.runtime)
    forget_submission(output)
    rows = search_into(progress(items, "series"), detector, source, output, run.log)
    return _finish(rows, output / SUMMARY_FILE, run)


def series_between(source: Path, output: Path, run: Run) -> list[SeriesItem]:
    """Make the output, and return the series of the input; results and records below the input are none of it.

    Raises InputError where the input holds nothing, or the output cannot be written.
    """
    make_folder(output)
    if source.exists() and output.samefile(source):
        raise BAD_INPUT("output_is_input", path=output)
    return _series_of(source, (output, run.path, records_of("nodule")))


def search_into(
    items: Iterable[SeriesItem], detector: Detector, source: Path, output: Path, log: RunLog
) -> list[dict[str, Any]]:
    """Search series of a folder and write all that stage=infer writes of them; return the rows of summary.csv.

    Raises InputError where the output cannot be written.
    """

    def on_fault(item: SeriesItem, error: Exception) -> None:
        log.event("fault", item=pseudonym(item.id), type=type(error).__name__, where=where_of(error))

    base = base_of(source)
    rows = [settle(item, search_and_write(item, detector, output, on_fault), output, base) for item in items]
    write_summary(output / SUMMARY_FILE, rows)
    for folder in (output, output / FOLDER):
        remove_partial(folder)  # of a run that was killed
    return rows


def base_of(source: Path) -> Path:
    """Return the folder that the names of files are relative to: the input, or that of the one file given."""
    return source if source.is_dir() else source.parent


def search_and_write(
    item: SeriesItem,
    detector: Detector,
    output: Path,
    on_fault: Callable[[SeriesItem, Exception], None],
    step: Callable[[], None] = lambda: None,
) -> SeriesResult:
    """Search one series and write its results; whatever is wrong with it ends in the result, not in an exception.

    on_fault: gets a defect of the program. step: called once its voxels are read, and again once they are searched.
    Raises InputError where the output cannot be written.
    """
    try:
        result = search(item, detector, step)
        if result.volume is not None:
            step()
            write_results(output / item.id, result.volume, result.candidates, result.findings, detector)
        return result
    except (ItemRefused, MemoryError) as error:
        return quarantined(item, error)
    except InputError:
        raise  # the output, not the series: no other series could be written either
    except Exception as error:
        on_fault(item, error)
        return quarantined(item)


def settle(item: SeriesItem, result: SeriesResult, output: Path, base: Path) -> dict[str, Any]:
    """Quarantine a series with its reason, remove what an earlier run wrote that no longer holds; return its row.

    base: of `base_of`. Raises InputError where the output cannot be written.
    """
    quarantine = Quarantine(output / FOLDER)
    if result.status != ACCEPTED:
        remove_results(output / item.id)
    if result.status == QUARANTINED:
        quarantine.add(item.id, result.code, result.sentence, _shown_names(item, base))
    else:
        quarantine.release(item.id)
    _remove_former_parts(item, output, quarantine)
    return summary_row(result)


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


def _shown_names(item: SeriesItem, base: Path) -> list[str]:
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
