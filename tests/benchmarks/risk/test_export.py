"""The record of the risk networks' export: both embedded models, every format that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.config import RiskConfig
from benchmarks.risk import export
from core.export.formats import installed
from core.export.manifest import Manifest, read_manifest
from core.runs.folder import Run
from tests.core.export.exported import exported


def test_both_embedded_models_are_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[RiskConfig] = []

    def stands_in(config: RiskConfig, record: Run, on_step: object) -> Manifest:
        configs.append(config)
        return read_manifest(exported())

    monkeypatch.setattr(export, "export", stands_in)
    record = export.run(str(tmp_path))
    assert [config.data.sample for config in configs] == ["markets", "loan_book"]
    assert [Path(str(config.weights)).name for config in configs] == ["series", "loan_book"]
    assert all(config.formats == [one.name for one in installed()] for config in configs)
    assert {"formats", "minutes, series", "minutes, event", "blur"} == set(record["headline"])
    assert (record["rows"], record["clients"]) == (128, 512)
    assert record["series"]["artifacts"] == record["event"]["artifacts"]
    assert record["series"]["artifacts"][0]["network"] == "blur"
