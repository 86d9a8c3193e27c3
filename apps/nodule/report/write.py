"""Everything that one series gives, written into its folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmwrite

from apps.nodule.data.quiet import quiet_libraries
from apps.nodule.data.volume import Volume
from apps.nodule.models.detector import ModelInfo
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.capture import captures
from apps.nodule.report.page import series_page
from apps.nodule.report.reported import ReportedFinding, reported
from apps.nodule.report.segmentation import nifti, segmentation
from apps.nodule.report.structured_report import structured_report
from apps.nodule.report.tables import write_nodules, write_report
from core.runs.files import remove_partial, write_bytes, write_text
from core.runs.outputs import output_error

TABLES = ("candidates.csv", "nodules.csv", "report.html", "report.json")


def write_results(
    folder: Path,
    volume: Volume,
    candidates: Sequence[Candidate],
    findings: Sequence[Finding],
    model: ModelInfo,
) -> None:
    """Write the result set of one series, each file whole or not at all; report.json comes last.

    DICOM sources give sr.dcm, seg.dcm (none without a finding) and sc/NN.dcm, other volumes seg.nii.gz. Findings
    are numbered by falling probability in every file. What an earlier run with more findings left is removed.
    Raises InputError where the folder cannot be written.
    """
    ranked = reported(volume, findings)
    # The libraries' warnings quote what the scanner wrote, and that may be the patient's.
    _remove_partial(folder)
    with quiet_libraries():
        images = _images(volume, ranked, model)
        page = series_page(volume, candidates, ranked, model).render()
    for name, data in images.items():
        write_bytes(folder / name, data)
    _remove_stale(folder, images)
    write_nodules(folder / "candidates.csv", volume.uid, candidates)
    write_nodules(folder / "nodules.csv", volume.uid, (finding.candidate for finding in ranked))
    write_text(folder / "report.html", page)
    write_report(folder / "report.json", volume, candidates, ranked, model)


def _images(volume: Volume, findings: Sequence[ReportedFinding], model: ModelInfo) -> dict[str, bytes]:
    masks = [finding.finding for finding in findings]
    if not volume.sources:
        return {"seg.nii.gz": nifti(volume, masks)}
    files: dict[str, bytes] = {}
    seg = segmentation(volume, masks, model) if masks else None
    if seg is not None:
        files["seg.dcm"] = encode(seg)
    files["sr.dcm"] = encode(structured_report(volume, findings, model, seg))
    for number, instance in enumerate(captures(volume, findings, model), start=1):
        files[f"sc/{number:02d}.dcm"] = encode(instance)
    return files


def encode(instance: Dataset) -> bytes:
    """Return a DICOM file (PS3.10) as bytes."""
    stream = io.BytesIO()
    dcmwrite(stream, instance, enforce_file_format=True)
    return stream.getvalue()


def remove_results(folder: Path) -> None:
    """Remove what an earlier run wrote of a series that can no longer be read; other files stay.

    Raises InputError where it cannot be removed.
    """
    try:
        _remove_partial(folder)
        for name in TABLES:
            (folder / name).unlink(missing_ok=True)
        _remove_stale(folder, {})
        for path in (folder / "sc", folder):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise output_error(error, folder) from error


def _remove_partial(folder: Path) -> None:
    for each in (folder, folder / "sc"):
        remove_partial(each)


def _remove_stale(folder: Path, written: dict[str, bytes]) -> None:
    ours = [
        folder / "seg.dcm",
        folder / "sr.dcm",
        folder / "seg.nii.gz",
        *sorted((folder / "sc").glob("*.dcm")),
    ]
    kept = {folder / name for name in written}
    for path in ours:
        if path not in kept:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise output_error(error, folder) from error
