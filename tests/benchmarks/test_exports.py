"""What a record says of an export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.exports import card_table, measure_export
from core.export.formats import FORMATS
from core.export.manifest import Manifest, read_manifest
from tests.core.export.exported import exported


def test_the_record_holds_what_the_manifest_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    manifest = read_manifest(exported())

    def export(formats: list[str], folder: Path) -> Manifest:
        asked.extend(formats)
        assert folder == tmp_path
        return manifest

    monkeypatch.setattr("core.export.formats.find_spec", lambda package: None)
    record = measure_export(export, tmp_path)
    assert asked == record["formats"] == [name for name, one in FORMATS.items() if one.package is None]
    assert record["weights"] == manifest.model
    assert [one["format"] for one in record["artifacts"]] == [one.format for one in manifest.artifacts]
    fastest = max(manifest.artifacts, key=lambda one: one.ratio)
    assert record["headline"]["blur"] == f"{fastest.ratio:.1f}× ({fastest.format})"
    assert json.loads(json.dumps(record, allow_nan=False))["artifacts"][0]["network"] == "blur"


def test_formats_that_are_absent_for_one_reason_share_a_row() -> None:
    absent = [
        {"network": "trees", "format": name, "status": "not applicable", "why": "no network"}
        for name in "abc"
    ]
    one = {"network": "net", "format": "b", "status": "refused", "why": "error 2"}
    lines = card_table({"artifacts": [], "absent": [*absent, one]}).splitlines()
    assert lines[2:] == [
        "| trees | every format | – | – | – | not applicable: no network |",
        "| net | b | – | – | – | refused: error 2 |",
    ]
