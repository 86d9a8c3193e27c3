"""The name of a scoring: one for each output and table of data, the same wherever and by whomever it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.config import DataConfig, RiskConfig, ScoreConfig
from apps.risk.scoring.scoring_name import scoring_name


def _name(output: str, path: str | None = None, table: str | None = None, name: str | None = None) -> str:
    data = DataConfig(sample=None if path else "markets", path=path, table=table)
    return scoring_name(RiskConfig("score", output=output, data=data, score=ScoreConfig(name=name)))


def test_outputs_and_tables_do_not_share_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        _name("out"),
        _name("other/out"),
        _name("out", "a.csv"),
        _name("out", "b.csv"),
        _name("out", "sqlite:///a.db", "x"),
        _name("out", "sqlite:///a.db", "y"),
        _name("out", "postgresql://host/db", "x"),
        _name("out", "postgresql:///?service=desk", "x"),
        _name("out", "postgresql:///?service=risk", "x"),
    ]
    assert len(set(names)) == len(names)
    assert all(name.startswith("out-") for name in names)
    assert _name("out", name="desk") == "desk"


def test_the_name_does_not_hang_on_the_folder_of_the_caller_or_on_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = _name("out", "a.csv"), _name("out", "sqlite:///a.db", "x")
    monkeypatch.chdir("/")
    there = (
        _name(f"{tmp_path}/out", f"{tmp_path}/a.csv"),
        _name(f"{tmp_path}/out", f"sqlite:///{tmp_path}/a.db", "x"),
    )
    assert here == there
    assert _name("/out", "postgresql://host/db", "x") == _name("/out", "postgres://bob@host/db", "x")
