"""Tables, models and settings for tests of scoring; small and quick."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from apps.risk.config import DataConfig, ModelConfig, RiskConfig, ScoreConfig
from apps.risk.models.description import Description, TargetsPart, write_description
from apps.risk.score import run
from core.runs.folder import Run

DAYS = 60
CALENDAR = pd.bdate_range("2024-01-01", periods=DAYS)


def returns(entities: int = 4, days: int = DAYS, seed: int = 0) -> pd.DataFrame:
    """Daily returns in percent of some assets, s000 …"""
    draw = np.random.default_rng(seed).standard_t(5, size=(entities, days))
    return pd.DataFrame(
        {
            "asset": np.repeat([f"s{n:03d}" for n in range(entities)], days),
            "day": np.tile(CALENDAR[:days].strftime("%Y-%m-%d"), entities),
            "gain": draw.round(4).ravel(),
        }
    )


def model_folder(folder: Path, targets: str = "historical_simulation") -> Path:
    """A folder whose champion needs no weights."""
    write_description(folder, Description(TargetsPart(targets, {})))
    return folder


def config(folder: Path, table: pd.DataFrame | None = None, **words: Any) -> RiskConfig:
    """Settings that score a table, written as CSV below the folder, into folder/out.

    words: of the whole config, or of a section, as score_chunk=2.
    """
    path = folder / "table.csv"
    if table is not None:
        table.to_csv(path, index=False)
    sections: dict[str, dict[str, Any]] = {
        "data": {"sample": None, "path": str(path), "entity": "asset", "time": "day", "targets": "gain"},
        "model": {"horizon": 2, "paths": 100},
        "score": {},
    }
    whole: dict[str, Any] = {"stage": "score", "output": str(folder / "out")}
    for name, value in words.items():
        section, _, field = name.partition("_")
        if section in sections and field:
            sections[section][field] = value
        else:
            whole[name] = value
    return RiskConfig(
        weights=whole.pop("weights", None) or str(model_folder(folder / "model")),
        data=DataConfig(**sections["data"]),
        model=ModelConfig(**sections["model"]),
        score=ScoreConfig(**sections["score"]),
        **whole,
    )


def go(cfg: RiskConfig, folder: Path) -> int:
    """Score in this process, with the run's record in folder/run, and return the exit code."""
    record = Run(folder / "run")
    with record.log:
        return run(cfg, record)


def words(cfg: RiskConfig) -> list[str]:
    """The command line of such settings, without what is at its default."""
    default = RiskConfig(stage="score")
    words = []
    for section, part, usual in (
        ("", cfg, default),
        ("data.", cfg.data, default.data),
        ("model.", cfg.model, default.model),
        ("score.", cfg.score, default.score),
    ):
        for name, value in vars(part).items():
            if (not hasattr(value, "where") and value != getattr(usual, name)) or name == "stage":
                words.append(f"{section}{name}={'null' if value is None else value}")
    return words


def files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative name, hidden ones too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def scores(output: Path, date: str) -> pd.DataFrame:
    """The rows of a date."""
    return pq.read_table(output / "scores" / f"as_of={date}", partitioning=None).to_pandas()
