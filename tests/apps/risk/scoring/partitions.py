"""Scores for the tests of partitions, and a writer that tests start as a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from apps.risk.data.as_of_time import AsOf, parse_as_of
from apps.risk.scoring.layout import Layout
from apps.risk.scoring.manifest import Facts
from apps.risk.scoring.partition import Partition

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
    return write_chunks(folder, [scores(entities, add)], facts(entities, add))


def write_chunks(
    folder: Path, chunks: Iterable[pa.Table | pd.DataFrame], said: Facts, as_of: AsOf = DATE
) -> Path:
    """Push chunks of rows, and return the partition's folder."""
    with Partition(folder, as_of, LAYOUT) as part:
        for rows in chunks:
            part.add(rows)
        return part.finish(said)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[2])):
        write(Path(sys.argv[1]), 50, float(number % 2) + float(sys.argv[3]))
    print("done", flush=True)
