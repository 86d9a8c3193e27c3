"""stage=infer: every series of a folder, from its files to its findings; one bad series never stops the others."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from apps.nodule.config import NoduleConfig
from apps.nodule.data.load import load
from apps.nodule.data.series import PART, SeriesItem, scan
from apps.nodule.models.build import build_detector
from apps.nodule.models.detector import Detector
from apps.nodule.models.segment import segment
from apps.nodule.reasons import BAD_INPUT, Reason, fault, verdict_of
from apps.nodule.report.model_info import ModelInfo
from apps.nodule.report.tables import notes
from apps.nodule.report.write import remove_results, write_results
from core.errors import ExitCode, InputError, ItemRefused, where_of
from core.runs.files import make_folder, write_csv
from core.runs.folder import Run, records_of
from core.runs.log import pseudonym
from core.runs.quarantine import Quarantine
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


@dataclass(frozen=True)
class Outcome:
    """What became of one series: a row of summary.csv. findings, candidates: None where nobody looked."""

    item: SeriesItem
    status: str
    code: str
    sentence: str
    notes: str = ""
    findings: int | None = None
    candidates: int | None = None


def run(cfg: NoduleConfig, run: Run) -> int:
    """Read `cfg.input`, write results under `cfg.output`; return 4 where a series was quarantined, else 0.

    Results and records of an earlier run are no input, so both may lie below the input. Raises InputError where the
    input holds nothing, or the output cannot be written.
    """
    source, output = Path(str(cfg.input)), make_folder(Path(str(cfg.output)))
    if source.exists() and output.samefile(source):
        raise BAD_INPUT("output_is_input", path=output)
    items = scan(source, leave_out=(output, run.path, records_of("nodule")))
    if not items:
        raise BAD_INPUT("input_empty", path=source)
    detector = build_detector(cfg.model, cfg.weights)
    quarantine = Quarantine(output / "quarantine")
    outcomes = []
    for item in progress(items, "series"):
        outcome = _process(item, detector, output, run)
        if outcome.status != "accepted":
            remove_results(output / item.id)  # an earlier run may have read it
        if outcome.status == "quarantined":
            quarantine.add(item.id, outcome.code, outcome.sentence, _relative(item, source))
        else:
            quarantine.release(item.id)  # an earlier run may have met it with its fault
        _remove_former_parts(item, output, quarantine)
        outcomes.append(outcome)
    write_csv(output / "summary.csv", SUMMARY_COLUMNS, [_row(outcome) for outcome in outcomes])
    return _finish(outcomes, output / "summary.csv", run)


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


def _process(item: SeriesItem, detector: Detector, output: Path, run: Run) -> Outcome:
    """Take one series all the way; whatever is wrong with it ends in its outcome, not in an exception."""
    if item.status != "accepted":
        return Outcome(item, item.status, item.code, item.sentence)
    try:
        return _detect(item, detector, output)
    except ItemRefused as refused:
        return _refused(item, verdict_of(refused))
    except InputError:
        raise  # the output, not the series: no other series could be written either
    except MemoryError:
        return _refused(item, fault("out_of_memory"))
    except Exception as error:
        where = where_of(error)
        run.log.event("fault", item=pseudonym(item.id), type=type(error).__name__, where=where)
        return _refused(item, fault("internal_fault"))


def _refused(item: SeriesItem, reason: Reason) -> Outcome:
    return Outcome(item, reason.status, reason.code, reason.sentence)


def _detect(item: SeriesItem, detector: Detector, output: Path) -> Outcome:
    volume = load(item)
    detection = detector.detect(volume)
    volume = replace(volume, notes=(*volume.notes, *detection.notes))
    candidates = detection.candidates
    findings = [segment(volume, c) for c in candidates if c.probability >= detector.threshold]
    model = ModelInfo(detector.name, detector.version, detector.threshold)
    write_results(output / item.id, volume, candidates, findings, model)
    told = notes(volume, findings)
    detail = " ".join([item.sentence, *(sentence for _, sentence in told)])
    codes = " ".join(code for code, _ in told)
    return Outcome(item, "accepted", item.code, detail, codes, len(findings), len(candidates))


def _row(outcome: Outcome) -> tuple[object, ...]:
    counts = ("" if n is None else n for n in (outcome.findings, outcome.candidates))
    reason = (outcome.code, outcome.sentence, outcome.notes)
    item = outcome.item
    return (item.id, outcome.status, *reason, len(item.files), *counts, item.study, item.description)


def _relative(item: SeriesItem, source: Path) -> list[str]:
    base = source if source.is_dir() else source.parent
    # a name from an old CD need not be UTF-8, a JSON file must
    return [
        os.fsencode(path.relative_to(base)).decode("utf-8", errors="backslashreplace") for path in item.files
    ]


def _finish(outcomes: list[Outcome], summary: Path, run: Run) -> int:
    counts = Counter(outcome.status for outcome in outcomes)
    found = sum(outcome.findings or 0 for outcome in outcomes)
    numbers = {name: counts[name] for name in ("accepted", "skipped", "quarantined")}
    run.write_metrics({**numbers, "findings": found})
    run.log.event("inferred", count=found, **numbers)
    for status, verb in (("quarantined", "were quarantined"), ("skipped", "were skipped")):
        reasons = [(one.code, one.sentence) for one in outcomes if one.status == status]
        print_set_aside("series", len(outcomes), reasons, summary, verb)
    return ExitCode.QUARANTINED if counts["quarantined"] else ExitCode.DONE
