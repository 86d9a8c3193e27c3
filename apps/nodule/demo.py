"""The app's part of the demo: make a scan, search it for nodules, show the findings beside the nodules put in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from apps.nodule.config import ModelConfig, SimulateConfig
from apps.nodule.data.phantom.phantom import PhantomNodule
from apps.nodule.data.volume import Volume
from apps.nodule.infer import infer, summary_row
from apps.nodule.models.build import build_detector
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.pictures import planes
from apps.nodule.report.summary import write_summary
from apps.nodule.report.write import write_results
from apps.nodule.simulate import simulate, write_scan, write_truth
from core.errors import InternalFault
from core.reports.page import Block, Column, Figure, Gallery, Links, PageSection, Table, Text
from core.reports.picture import drawn_over
from core.runs.files import make_folder
from core.runs.folder import Run

SEED = 100_003  # an imagined patient whose nodule outlines the detector never saw
NODULES = 5
SHOWN = 3
_COLUMNS = (
    Column("Nodule put in"),
    Column("Where"),
    Column("Diameter, mm", numeric=True),
    Column("Found with probability", numeric=True),
    Column("Measured, mm", numeric=True),
    Column("Off by, mm", numeric=True),
)


def section(folder: Path, run: Run) -> PageSection:
    """Run the app below `folder` and return its section of the demo's page, whose links start at `folder`'s parent."""
    settings = SimulateConfig(nodules=NODULES, spacing_mm=1.25)
    ((seed, phantom),) = simulate(settings, SEED)
    scans, results = make_folder(folder / "scan" / "scans"), make_folder(folder / "results")
    write_scan(phantom.volume, scans, settings, seed)
    uid = phantom.volume.uid
    write_truth(folder / "scan", [uid], [(uid, nodule) for nodule in phantom.nodules])
    run.log.event("simulated", seed=seed, count=len(phantom.nodules))
    detector = build_detector(ModelConfig(), None)
    (result,) = infer(scans, detector)
    if result.volume is None:
        raise InternalFault(result.code, result.sentence)
    write_results(results / result.series, result.volume, result.candidates, result.findings, detector)
    write_summary(results / "summary.csv", [summary_row(result)])
    run.log.event("inferred", count=len(result.findings))
    rows = compare(phantom.nodules, [finding.candidate for finding in result.findings])
    hits = sum(row[3] != "missed" for row in rows)
    blocks: list[Block] = [
        Text(
            f"A synthetic chest with {len(rows)} nodules of real outlines, written as a DICOM series and read back "
            f"as a hospital's would be. {hits} of {len(rows)} found; {len(result.findings) - hits} marks elsewhere."
        ),
        Table("Nodules put in, and findings", _COLUMNS, rows),
        Gallery(_figures(result.volume, result.findings[:SHOWN])),
        Links(
            [
                ("The full report of this series", f"{folder.name}/results/{result.series}/report.html"),
                ("All series of the run (summary.csv)", f"{folder.name}/results/summary.csv"),
            ]
        ),
    ]
    return PageSection("Lung nodules on CT", blocks)


def compare(truth: Sequence[PhantomNodule], candidates: Sequence[Candidate]) -> list[list[str]]:
    """Return a row for each nodule put in: itself, and the best mark within its radius, or "missed".

    candidates: by falling probability; positions are LPS mm.
    """
    rows = []
    for nodule in truth:
        radius = nodule.diameter_mm / 2
        off = [math.dist(nodule.centre_mm, candidate.centre_mm) for candidate in candidates]
        near = [(c, d) for c, d in zip(candidates, off, strict=True) if d < radius]
        row = [_words(nodule.kind), _words(nodule.placement), f"{nodule.diameter_mm:.1f}"]
        if near:
            best, away = near[0]
            row += [f"{best.probability:.2f}", f"{best.diameter_mm:.1f}", f"{away:.1f}"]
        else:
            row += ["missed", "", ""]
        rows.append(row)
    return rows


def _words(name: str) -> str:
    return (
        name.replace("_", " ").replace("juxta pleural", "juxta-pleural").replace("part solid", "part-solid")
    )


def _figures(volume: Volume, findings: Sequence[Finding]) -> list[Figure]:
    return [_figure(volume, finding, number) for number, finding in enumerate(findings, start=1)]


def _figure(volume: Volume, finding: Finding, number: int) -> Figure:
    axial = planes(volume, finding)[0]
    alt = f"Finding {number} in the axial plane, outlined"
    bar = (10.0 / axial.mm, "10 mm")
    image = drawn_over(axial.grey_HW, alt, lines=axial.outlines, letters=axial.letters, bar=bar)
    candidate = finding.candidate
    return Figure(image, f"{candidate.diameter_mm:.1f} mm, probability {candidate.probability:.2f}")
