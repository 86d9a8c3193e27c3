"""What all reports say of a finding is worked out once, in one order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from apps.nodule.data.volume import Volume
from apps.nodule.models.findings import Finding
from apps.nodule.report import reported as module
from apps.nodule.report.location import NO_ORIENTATION, Side
from apps.nodule.report.reported import reported
from apps.nodule.report.write import write_results


def test_findings_are_numbered_by_falling_probability(volume: Volume, findings: list[Finding]) -> None:
    first, second = reported(volume, findings[::-1])
    assert (first.number, second.number) == (1, 2)
    assert (first.finding, second.finding) == tuple(findings)
    assert (first.side, second.side) == (Side("right"), Side("left"))
    assert (first.image, second.image) == (13, 30)
    assert first.header is volume.sources[12]


def test_equal_findings_are_ordered_by_their_centre(volume: Volume, findings: list[Finding]) -> None:
    equal = [replace(f, candidate=replace(f.candidate, probability=0.5)) for f in findings]
    forwards, backwards = reported(volume, equal), reported(volume, equal[::-1])
    assert [one.candidate.centre_mm for one in forwards] == [one.candidate.centre_mm for one in backwards]
    assert forwards[0].candidate.centre_mm < forwards[1].candidate.centre_mm


def test_mask_images_are_numbered_from_one(volume: Volume, findings: list[Finding]) -> None:
    # A ball of 8 mm about slice 12 (from 0), 2.5 mm apart.
    assert reported(volume, findings)[0].mask_images == (12, 14)


def test_a_volume_without_orientation_or_headers(volume: Volume, findings: list[Finding]) -> None:
    first, _ = reported(replace(volume, is_oriented=False, sources=()), findings)
    assert (first.side, first.header) == (Side(None, NO_ORIENTATION), None)


def test_the_side_is_looked_for_once_a_finding(
    tmp_path: Path, volume: Volume, findings: list[Finding], model: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    find_side = module.find_side
    monkeypatch.setattr(module, "find_side", lambda *point: (asked.append(point), find_side(*point))[1])
    write_results(tmp_path, volume, [], findings, model)  # type: ignore[arg-type]
    assert len(asked) == 2
