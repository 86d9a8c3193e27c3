"""Scores for the tests of partitions, and a writer that tests start as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from apps.risk.data.as_of_time import parse_as_of
from apps.risk.scoring.manifest import Facts
from apps.risk.scoring.partition import Layout, write_partition

DATE, DAY_BEFORE = parse_as_of("2024-01-31"), parse_as_of("2024-01-30")
LAYOUT = Layout(
    pa.schema([("entity", pa.string()), ("step", pa.int32()), ("var", pa.float64()), ("code", pa.string())]),
    key=("entity", "step"),
)
UNITS = {"entity": "", "step": "1", "var": "EUR", "code": ""}


def scores(entities: int, add: float = 0.0) -> pd.DataFrame:
    """Two steps of each entity; every fifth value is missing."""
    number_R = np.arange(2 * entities)
    return pd.DataFrame(
        {
            "entity": [f"é{number // 2:04d}" for number in number_R],
            "step": number_R % 2 + 1,
            "var": np.where(number_R % 5 == 0, np.nan, np.sin(number_R) + add),
            "code": np.where(number_R % 7 == 0, None, "ok"),
        }
    )


def facts(entities: int, add: float = 0.0) -> Facts:
    return Facts(DATE, "tiny", "ab", UNITS, entities, {}, {}, "cd", {"add": add})


def write(folder: Path, entities: int, add: float = 0.0) -> Path:
    frame = scores(entities, add)
    return write_partition(folder, DATE, LAYOUT, [frame], lambda: facts(entities, add))


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        write(Path(sys.argv[1]), 50, float(number % 2) + float(sys.argv[3]))
    print("done", flush=True)
