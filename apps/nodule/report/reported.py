"""What every report says of a finding, worked out once: its number, side, slice and source image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import Dataset

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Candidate, Finding
from apps.nodule.report.location import Side, find_side, image_number, source_image


@dataclass(frozen=True, eq=False)
class ReportedFinding:
    """A finding as all reports show it.

    number: from 1, by falling probability, the same in every file. side: of the patient's body. image: number, from 1,
    of the slice nearest to the centre. header: of that image, None where it has none of its own.
    """

    finding: Finding
    number: int
    side: Side
    image: int
    header: Dataset | None

    @property
    def candidate(self) -> Candidate:
        """Centre, diameter and probability."""
        return self.finding.candidate

    @property
    def mask_images(self) -> tuple[int, int]:
        """First and last image, numbered from 1, on which the mask has a voxel."""
        return self.finding.slices[0] + 1, self.finding.slices[-1] + 1


def reported(volume: Volume, findings: Sequence[Finding]) -> list[ReportedFinding]:
    """Return the findings of a volume by falling probability; equal ones by their centre."""
    ranked = sorted(
        findings, key=lambda finding: (-finding.candidate.probability, finding.candidate.centre_mm)
    )
    return [_reported(volume, finding, number) for number, finding in enumerate(ranked, start=1)]


def _reported(volume: Volume, finding: Finding, number: int) -> ReportedFinding:
    centre_mm = finding.candidate.centre_mm
    image = image_number(volume, centre_mm)
    return ReportedFinding(finding, number, find_side(volume, centre_mm), image, source_image(volume, image))
