"""stage=infer: every series of a folder, from its files to its findings; one bad series never stops the others."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from apps.nodule.config import NoduleConfig
from apps.nodule.data.load import load
from apps.nodule.data.series import SeriesItem, scan
from apps.nodule.models.build import build_detector
from apps.nodule.models.detector import Detector
from apps.nodule.models.segment import segment
from apps.nodule.report.model_info import ModelInfo
from apps.nodule.report.write import write_results
from core.errors import ExitCode, InputError, ItemRefused
from core.jobs.quarantine import Quarantine
from core.progress import progress
from core.runs.files import make_folder, write_csv
from core.runs.folder import Run
from core.runs.log import pseudonym

SUMMARY_COLUMNS = ("series", "status", "reason", "detail", "files", "findings", "candidates")


@dataclass(frozen=True)
class Outcome:
    """What became of one series: a row of summary.csv. findings, candidates: None where nobody looked."""

    item: SeriesItem
    status: str
    code: str
    sentence: str
    findings: int | None = None
    candidates: int | None = None


def run(cfg: NoduleConfig, run: Run) -> int:
    """Read `cfg.input`, write results under `cfg.output`; return 4 where a series was quarantined, else 0.

    Raises InputError where the input holds nothing, or the output cannot be written.
    """
    source, output = Path(str(cfg.input)), make_folder(Path(str(cfg.output)))
    items = scan(source)
    if not items:
        raise InputError("input_empty", f"{source} holds no file to read")
    detector = build_detector(cfg.model, cfg.weights)
    quarantine = Quarantine(output / "quarantine")
    outcomes = []
    for item in progress(items, "series"):
        outcome = _process(item, detector, output, run)
        if outcome.status == "quarantined":
            quarantine.add(item.id, outcome.code, outcome.sentence, _relative(item, source))
        outcomes.append(outcome)
    write_csv(output / "summary.csv", SUMMARY_COLUMNS, [_row(outcome) for outcome in outcomes])
    return _finish(outcomes, run)


def _process(item: SeriesItem, detector: Detector, output: Path, run: Run) -> Outcome:
    """Take one series all the way; whatever is wrong with it ends in its outcome, not in an exception."""
    if item.status != "accepted":
        return Outcome(item, item.status, item.code, item.sentence)
    try:
        return _detect(item, detector, output)
    except ItemRefused as refused:
        return Outcome(item, "quarantined", refused.code, refused.sentence)
    except (InputError, OSError):
        raise  # the output, not the series: no other series could be written either
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        run.log.event("fault", item=pseudonym(item.id), type=type(error).__name__, where=where)
        return Outcome(
            item, "quarantined", "internal_fault", "this series met a defect of the program; see the log"
        )


def _detect(item: SeriesItem, detector: Detector, output: Path) -> Outcome:
    volume = load(item)
    candidates = detector.detect(volume)
    findings = [segment(volume, c) for c in candidates if c.probability >= detector.threshold]
    model = ModelInfo(detector.name, detector.version, detector.threshold)
    write_results(output / item.id, volume, candidates, findings, model)
    codes = " ".join(code for code, _ in volume.notes)
    sentences = " ".join(sentence for _, sentence in volume.notes)
    return Outcome(item, "accepted", codes, sentences, len(findings), len(candidates))


def _row(outcome: Outcome) -> tuple[object, ...]:
    counts = ("" if n is None else n for n in (outcome.findings, outcome.candidates))
    return (outcome.item.id, outcome.status, outcome.code, outcome.sentence, len(outcome.item.files), *counts)


def _relative(item: SeriesItem, source: Path) -> list[str]:
    base = source if source.is_dir() else source.parent
    return [str(path.relative_to(base)) for path in item.files]


def _finish(outcomes: list[Outcome], run: Run) -> int:
    counts = Counter(outcome.status for outcome in outcomes)
    found = sum(outcome.findings or 0 for outcome in outcomes)
    numbers = {name: counts[name] for name in ("accepted", "skipped", "quarantined")}
    run.write_metrics({**numbers, "findings": found})
    run.log.event("inferred", count=found, **numbers)
    return ExitCode.QUARANTINED if counts["quarantined"] else ExitCode.DONE
