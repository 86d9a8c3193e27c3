"""What a scoring costs: files to files at three sizes, one series through a loaded model, and what kill -9 leaves.

Legend: N series, T rows of each.
"""

from __future__ import annotations

import filecmp
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from apps.risk.config import DataConfig
from apps.risk.data.load import load_panel
from apps.risk.models.risk_model import RiskModel
from apps.risk.models.walking import Fitting
from apps.risk.scoring.manifest import verify
from apps.risk.scoring.scores import target_rows
from benchmarks.command_line import whole
from benchmarks.record import ROOT
from core.errors import InputError
from core.statistics.bootstrap import bootstrap

HORIZON, PATHS = 10, 1000  # the command's defaults
PROTOCOL = (
    "Generated table: daily returns, Student's t with 5 degrees of freedom, each series with its own volatility, in "
    "one Parquet file sorted by series. The command is `triptych-risk stage=score data=table data.path=FILE "
    f"data.targets=return`, {HORIZON} steps, {PATHS} paths, all else at its defaults. Whole: wall seconds of the "
    "process from its start to its end. After start-up: from the moment the model is loaded to the last byte written "
    "(the run's metrics.json); reading and checking the table, forecasts, quantiles, VaR and ES of every step, the "
    "portfolio, Parquet with its manifest are in it. CPU: user and system seconds of the whole process on all cores; "
    "half of it is what two idle cores would need at least. Medians over runs, lowest and highest beside them. Peak "
    "memory: largest resident set of the process. One series: forecast of a panel of one series, and with the rows "
    "that follow from it, through a model that is loaded, in one process, on one core; "
    "median with a 95 % percentile bootstrap. Killed: the command is killed by "
    "SIGKILL at a uniformly drawn moment of its usual time, so many times in a row; after each the date's folder is "
    "whole or not there; then it runs to its end and every file is compared, byte by byte, to those of a quiet run."
)


def run(
    series: str = "10000",
    days: str = "260",
    repeats: str = "3",
    curve: str = "1000,100000",
    single: str = "200",
    kills: str = "20",
    killed_series: str = "500",
    weights: str = "",
    model: str = "champion",
) -> dict[str, Any]:
    """Measure, and return the record's content. curve: further sizes, each run once. single: calls with one series.

    weights: folder of a trained model; none is the embedded one. Raises InputError for a size that is no whole number
    above 0, and where a command fails.
    """
    N, T = whole("series", series), whole("days", days)
    sizes = [whole("curve", size) for size in curve.split(",")] if curve else []
    counts = whole("repeats", repeats), whole("kills", kills), whole("killed_series", killed_series)
    more = [f"weights={Path(weights).resolve()}"] if weights else []
    more.append(f"model.name={model}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repeated = [score(folder, N, T, more) for _ in range(counts[0])]
        cost = {str(N): _median(repeated)}
        cost |= {str(size): score(folder, size, T, more) for size in sizes}
        killed = survive(folder, counts[2], T, counts[1], more)
        one = one_series(folder, T, weights, model, whole("single", single))
    for size, figures in cost.items():
        figures["milliseconds_per_series"] = 1000.0 * figures["seconds_after_start_up"] / int(size)
    figures = cost[str(N)]
    return {
        "headline": {
            f"{N} series after start-up": f"{figures['seconds_after_start_up']:.1f} s",
            "whole command": f"{figures['seconds_whole']:.1f} s",
            "CPU": f"{figures['seconds_cpu']:.1f} s",
            "one series p50": f"{one['forecast_milliseconds_p50']['value']:.1f} ms, with its rows "
            f"{one['milliseconds_p50']['value']:.1f} ms",
            "killed": f"{killed['kills']} times, {'same' if killed['same_bytes'] else 'other'} bytes",
        },
        "protocol": PROTOCOL,
        "rows_per_series": T,
        "model": model,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "runs": repeated,
        "cost_by_series": cost,
        "one_series": one,
        "killed": killed,
    }


def table_of(folder: Path, series: int, days: int) -> Path:
    """Write a table once, 10,000 series at a time, and return its file."""
    path = folder / f"table-{series}.parquet"
    if path.exists():
        return path
    draw = np.random.default_rng(0)
    schema = pa.schema([("entity", pa.string()), ("time", pa.timestamp("us")), ("return", pa.float64())])
    day_T = pd.bdate_range("2023-01-02", periods=days).to_numpy().astype("datetime64[us]")
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, series, 10_000):
            count = min(10_000, series - first)
            value_NT = draw.standard_t(5, (count, days)) * np.exp(draw.normal(0.0, 0.5, (count, 1)))
            names = pa.array([f"series-{first + n:06d}" for n in range(count)])
            columns = [
                names.take(pa.array(np.repeat(np.arange(count), days))),
                pa.array(np.tile(day_T, count)),
                pa.array(value_NT.ravel()),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return path


def words_of(table: Path, output: Path, more: Sequence[str]) -> list[str]:
    """Return the command."""
    return [
        *(sys.executable, "-m", "pipelines.risk", "stage=score", "data=table", f"data.path={table}"),
        *("data.targets=return", f"output={output}", f"run_dir={output}.run", *more),
    ]


def score(folder: Path, series: int, days: int, more: Sequence[str], name: str = "out") -> dict[str, float]:
    """Run the command as a user does; return its seconds and its peak memory (MB)."""
    table, output = table_of(folder, series, days), folder / f"{name}-{series}"
    start = time.monotonic()
    process = subprocess.Popen(
        words_of(table, output, more), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr as stream:
        said = stream.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    if process.returncode not in (0, 4):
        raise InputError("score_failed", f"stage=score ended with {process.returncode}: {said[-300:]}")
    metrics = json.loads((Path(f"{output}.run") / "metrics.json").read_text(encoding="utf-8"))
    return {
        "seconds_whole": round(seconds, 2),
        "seconds_after_start_up": metrics["seconds_scoring"],
        "seconds_cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_mb": round(used.ru_maxrss / 1024),
        "scored": metrics["scored"],
    }


def survive(folder: Path, series: int, days: int, kills: int, more: Sequence[str]) -> dict[str, Any]:
    """Kill the command at random moments, let it run to its end, and compare every file to those of a quiet run."""
    usual = score(folder, series, days, more, "quiet")["seconds_whole"]
    quiet, output = folder / f"quiet-{series}", folder / f"killed-{series}"
    chance = random.Random(0)
    torn, ended = 0, 0
    for _ in range(kills):
        process = subprocess.Popen(
            words_of(table_of(folder, series, days), output, more), cwd=ROOT, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.0, usual))
            ended += 1  # this time it was quicker
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        torn += sum(not _whole_partition(path) for path in (output / "scores").glob("as_of=*"))
    score(folder, series, days, more, "killed")
    return {
        "kills": kills,
        "ended_before": ended,
        "torn_partitions": torn,
        "same_bytes": same_files(quiet, output),
    }


def same_files(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same files, hidden ones too, with the same bytes."""
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        for folder in (one, other)
    ]
    return names[0] == names[1] and filecmp.cmpfiles(one, other, names[0], shallow=False)[0] == names[0]


def one_series(folder: Path, days: int, weights: str, name: str, calls: int) -> dict[str, Any]:
    """Return the milliseconds that one series takes through a loaded model, median of so many calls."""
    model = RiskModel.from_pretrained(Path(weights) if weights else None, targets=name, event=name).targets
    if model is None:
        raise InputError("model_unsuited", "this model forecasts no targets: name another folder by weights=")
    path = table_of(folder, 1, days)
    panel = load_panel(DataConfig(sample=None, path=str(path), targets="return")).panel
    time_H = np.full(HORIZON, np.datetime64("2024-01-01"))
    if isinstance(model, Fitting):
        model = model.fitted(panel, "return")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    taken_C2 = np.empty((calls + 3, 2))
    for call in range(calls + 3):
        start = time.perf_counter()
        forecast = model.forecast(panel, "return", HORIZON, PATHS, 0)
        between = time.perf_counter()
        target_rows(forecast, panel.entities, "return", model.name, time_H)
        taken_C2[call] = 1000.0 * (between - start), 1000.0 * (time.perf_counter() - start)
    torch.set_num_threads(before)
    alone_C, both_C = taken_C2[3:].T
    return {
        "model": model.name,
        "calls": calls,
        "forecast_milliseconds_p50": median_interval(alone_C),
        "milliseconds_p50": median_interval(both_C),
        "milliseconds_p95": round(float(np.quantile(both_C, 0.95)), 3),
    }


def median_interval(value_C: np.ndarray) -> dict[str, float]:
    """Return the median over calls, and its bootstrap interval."""

    def median(weight_C: np.ndarray) -> np.ndarray:
        return np.array([np.median(np.repeat(value_C, weight_C))])

    low, high = bootstrap(median, len(value_C))[:, 0]
    return {
        "value": round(float(np.median(value_C)), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
    }


def _whole_partition(folder: Path) -> bool:
    try:
        verify(folder)
    except InputError:
        return False
    return True


def _median(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([figures[name] for figures in runs])) for name in runs[0]}
