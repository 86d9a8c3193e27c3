"""report.html: the findings of one series, for a person."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate
from apps.nodule.report.pictures import WINDOW_CENTRE_HU, WINDOW_WIDTH_HU, overviews, planes
from apps.nodule.report.reported import ReportedFinding
from apps.nodule.report.source import study_date
from apps.nodule.report.tables import notes
from core.reports.page import (
    Bar,
    Block,
    Card,
    Column,
    Facts,
    Figure,
    Gallery,
    Link,
    Notice,
    Page,
    PageSection,
    Table,
    Text,
    Tile,
)
from core.reports.picture import Spot, drawn_over
from core.text.figures import number

DISCLAIMER = (
    "Triptych is research software and not a medical device. It may miss nodules and may mark findings that are not "
    "nodules: do not use it for diagnosis or treatment."
)
_PIXELS = 260
_COLUMNS = (
    Column("Nodule"),
    Column("Probability"),
    Column("Diameter, mm", numeric=True),
    Column("Volume, mm\N{SUPERSCRIPT THREE}", numeric=True),
    Column("Side"),
    Column("Slice", numeric=True),
    Column("Position x, y, z, mm", numeric=True),
)


def series_page(
    volume: Volume, candidates: Sequence[Candidate], findings: Sequence[ReportedFinding], model: ModelInfo
) -> Page:
    """Return the page of one series; `findings` as `reported` numbers them."""
    return Page(
        title=_title(volume, findings),
        subtitle=_lead(volume, findings, model),
        eyebrow="Triptych \N{MIDDLE DOT} lung nodules on CT",
        tiles=_tiles(volume, findings, model),
        sections=[
            _about(volume),
            _at_a_glance(volume, findings),
            *([_one_by_one(volume, findings)] if findings else []),
            _technical(volume, candidates, findings, model),
        ],
        footer=DISCLAIMER,
    )


def _title(volume: Volume, findings: Sequence[ReportedFinding]) -> str:
    if volume.has_no_lung:
        return "No lung found"
    if not findings:
        return "No nodule found"
    return "1 nodule found" if len(findings) == 1 else f"{len(findings)} nodules found"


def _lead(volume: Volume, findings: Sequence[ReportedFinding], model: ModelInfo) -> str:
    if volume.has_no_lung:
        return "No nodule was searched for."
    if not findings:
        return f"No candidate in this scan reached the working point of {model.threshold:.2f}."
    largest = max(range(len(findings)), key=lambda index: findings[index].candidate.diameter_mm)
    candidate = findings[largest].candidate
    return (
        f"The largest, nodule {largest + 1}, measures {candidate.diameter_mm:.1f} mm "
        f"and has a probability of {candidate.probability:.2f}."
    )


def _tiles(volume: Volume, findings: Sequence[ReportedFinding], model: ModelInfo) -> list[Tile]:
    candidates = [finding.candidate for finding in findings]
    depth = volume.hu_DHW.shape[0]
    tiles = [Tile("Nodules", str(len(findings)), f"probability {model.threshold:.2f} or more")]
    if candidates:
        largest = max(candidate.diameter_mm for candidate in candidates)
        top = max(candidate.probability for candidate in candidates)
        tiles += [
            Tile(
                "Largest diameter",
                f"{largest:.1f} mm",
                "as the network estimates it; from 20 mm on, measured",
            ),
            Tile("Highest probability", f"{top:.2f}", "of 1"),
        ]
    tiles.append(Tile("Slices read", str(depth), f"{volume.spacing_mm[0]:.2f} mm apart"))
    return tiles


def _anchor(number: int) -> str:
    return f"nodule-{number}"


def _about(volume: Volume) -> PageSection:
    """Which scan this is, and what a reader must know of it before its findings."""
    source = volume.sources[0] if volume.sources else Dataset()
    facts = [
        ("Series description", str(source.get("SeriesDescription") or "").strip() or "none given"),
        ("Study date", study_date(source) or "none given"),
    ]
    notices = [Notice(sentence, "warning") for _, sentence in volume.notes]
    return PageSection("This scan", [Facts(facts), *notices])


def _at_a_glance(volume: Volume, findings: Sequence[ReportedFinding]) -> PageSection:
    figures = []
    for view in overviews(volume, [finding.finding for finding in findings]):
        spots = [
            Spot(float(x), float(y), str(number), _anchor(number))
            for number, (x, y) in enumerate(view.marks_N2, start=1)
        ]
        alt = f"The scan summed up like a radiograph, {view.name.lower()}, with {len(findings)} marks"
        figures.append(Figure(drawn_over(view.grey_HW, alt, spots=spots, letters=view.letters), view.name))
    table = Table(
        "Sorted by probability. Positions are patient coordinates (LPS): x to the left, y to the back, z to the head.",
        _COLUMNS,
        [_row(finding) for finding in findings],
    )
    empty = Notice(
        "Nothing at or above the working point. Below it, candidates.csv lists every candidate.", "good"
    )
    blocks: list[Block] = [Gallery(figures)]
    if findings or not volume.has_no_lung:
        blocks.append(table if findings else empty)
    return PageSection("At a glance", blocks)


def _row(finding: ReportedFinding) -> list[str | Bar | Link]:
    candidate = finding.candidate
    return [
        Link(_anchor(finding.number), f"Nodule {finding.number}"),
        Bar(candidate.probability, f"{candidate.probability:.2f}"),
        f"{candidate.diameter_mm:.1f}",
        f"{finding.finding.volume_mm3:.0f}",
        finding.side.name or "not known",
        str(finding.image),
        _position(candidate.centre_mm),
    ]


def _position(centre_mm: tuple[float, float, float]) -> str:
    return ", ".join(number(value, 1) for value in centre_mm)


def _one_by_one(volume: Volume, findings: Sequence[ReportedFinding]) -> PageSection:
    window = f"{number(WINDOW_CENTRE_HU, 0)} / {number(WINDOW_WIDTH_HU, 0)} HU"
    text = Text(
        f"Three planes through each centre, 50 mm wide, lung window {window}. Outlined: what was measured."
    )
    cards = [_card(volume, finding) for finding in findings]
    return PageSection("One by one", [text, *cards])


def _card(volume: Volume, finding: ReportedFinding) -> Card:
    number = finding.number
    figures = []
    for plane in planes(volume, finding.finding, pixels=_PIXELS):
        alt = f"Nodule {number}, {plane.name.lower()} plane, outlined"
        bar = (10.0 / plane.mm, "10 mm")
        image = drawn_over(plane.grey_HW, alt, lines=plane.outlines, letters=plane.letters, bar=bar)
        figures.append(Figure(image, plane.name))
    return Card(
        title=f"Nodule {number}",
        anchor=_anchor(number),
        badge=f"probability {finding.candidate.probability:.2f}",
        facts=Facts(_facts(finding)),
        figures=figures,
    )


def _facts(finding: ReportedFinding) -> list[tuple[str, str]]:
    candidate, side = finding.candidate, finding.side
    facts = [
        ("Diameter", f"{candidate.diameter_mm:.1f} mm"),
        ("Volume", f"{finding.finding.volume_mm3:.0f} mm\N{SUPERSCRIPT THREE}"),
        ("Slice", str(finding.image)),
        ("Outlined on slices", _range(*finding.mask_images)),
        ("Position x, y, z", f"{_position(candidate.centre_mm)} mm"),
    ]
    facts.insert(0, ("Side", side.name or f"not known: {side.why}"))
    if finding.header is not None and finding.header.get("InstanceNumber") is not None:
        facts.insert(-1, ("Instance number", str(finding.header.InstanceNumber)))
    return facts


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}\N{EN DASH}{last}"


def _technical(
    volume: Volume, candidates: Sequence[Candidate], findings: Sequence[ReportedFinding], model: ModelInfo
) -> PageSection:
    depth, height, width = volume.hu_DHW.shape
    spacing = " \N{MULTIPLICATION SIGN} ".join(f"{value:.3f}" for value in volume.spacing_mm)
    facts = Facts(
        [
            ("Model", f"{model.name} {model.version}"),
            ("Working point", f"{model.threshold:.4g}"),
            ("Candidates in candidates.csv", str(len(candidates))),
            (
                "Slices, rows, columns",
                f"{depth} \N{MULTIPLICATION SIGN} {height} \N{MULTIPLICATION SIGN} {width}",
            ),
            ("Spacing, mm", spacing),
            ("Series", volume.uid),
        ]
    )
    remarks = [Notice(sentence) for _, sentence in notes(volume, findings)[len(volume.notes) :]]
    return PageSection("How it was made", [facts, *remarks, Notice(DISCLAIMER)])
