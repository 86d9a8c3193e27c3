"""The app's part of the demo: make a scan, search it for nodules, show the findings beside the nodules put in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from apps.nodule import infer, simulate
from apps.nodule.config import NoduleConfig, SimulateConfig
from apps.nodule.data.load import load
from apps.nodule.data.series import scan
from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.models.segment import segment
from apps.nodule.report.pictures import planes
from core.reports.page import Block, Column, Figure, Gallery, Links, PageSection, Table, Text
from core.reports.picture import drawn_over
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
    made, results = folder / "scan", folder / "results"
    settings = SimulateConfig(nodules=NODULES, spacing_mm=1.25)
    simulate.run(NoduleConfig("simulate", seed=SEED, output=str(made), simulate=settings), run)
    infer.run(NoduleConfig("infer", input=str(made / "scans"), output=str(results)), run)
    item = next(item for item in scan(made / "scans") if item.status == "accepted")
    candidates = read_candidates(results / item.id / "nodules.csv")
    truth = pd.read_csv(made / "nodules.csv")
    rows = compare(truth, candidates)
    hits = sum(row[3] != "missed" for row in rows)
    blocks: list[Block] = [
        Text(
            f"A synthetic chest with {len(truth)} nodules of real outlines, written as a DICOM series and read back "
            f"as a hospital's would be. {hits} of {len(truth)} found; {len(candidates) - hits} marks elsewhere."
        ),
        Table("Nodules put in, and findings", _COLUMNS, rows),
        Gallery(_figures(load(item), candidates[:SHOWN])),
        Links(
            [
                ("The full report of this series", f"{folder.name}/results/{item.id}/report.html"),
                ("All series of the run (summary.csv)", f"{folder.name}/results/summary.csv"),
            ]
        ),
    ]
    return PageSection("Lung nodules on CT", blocks)


def read_candidates(path: Path) -> list[Candidate]:
    """Read nodules.csv or candidates.csv back, best first."""
    rows = pd.read_csv(path).itertuples()
    return [Candidate((r.coordX, r.coordY, r.coordZ), r.diameter_mm, r.probability) for r in rows]


def compare(truth: pd.DataFrame, candidates: Sequence[Candidate]) -> list[list[str]]:
    """Return a row for each nodule put in: itself, and the best mark within its radius, or "missed"."""
    rows = []
    for nodule in truth.itertuples():
        centre = np.array([nodule.coordX, nodule.coordY, nodule.coordZ])
        radius = nodule.diameter_mm / 2
        off = [float(np.linalg.norm(centre - c.centre_mm)) for c in candidates]
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


def _figures(volume: Volume, candidates: Sequence[Candidate]) -> list[Figure]:
    return [_figure(volume, segment(volume, candidate), n) for n, candidate in enumerate(candidates, start=1)]


def _figure(volume: Volume, finding: Finding, number: int) -> Figure:
    axial = planes(volume, finding)[0]
    alt = f"Finding {number} in the axial plane, outlined"
    bar = (10.0 / axial.mm, "10 mm")
    image = drawn_over(axial.grey_HW, alt, lines=axial.outlines, letters=axial.letters, bar=bar)
    candidate = finding.candidate
    return Figure(image, f"{candidate.diameter_mm:.1f} mm, probability {candidate.probability:.2f}")
