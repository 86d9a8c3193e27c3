"""What the panel's windows cost beside pytorch-forecasting's TimeSeriesDataSet: preparation, loader alone, training.

The same generated table, the same windows of it, the same network from the same seed in the same training loop; only
what hands over the batches differs. Legend: N series, T rows of each.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch.utils.data import DataLoader

from apps.risk.data.asof import view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.forecasting_batches import ForecastingBatch, forecasting_batch, layout_of
from apps.risk.data.panel import build_panel
from apps.risk.data.windows import Batch, Windows, WindowStream
from benchmarks.command_line import whole
from core.data.stream import stream_loader
from core.errors import InputError
from core.statistics.bootstrap import bootstrap
from core.terminal.silence import silenced

CONTEXT, HORIZON = 24, 6  # of the library's own first tutorial: two years of months, and half a year ahead
COLUMNS = Columns(observed=("seen",), known=("due",), statics=("kind",), static_numbers=("age",))
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "tft": ("TemporalFusionTransformer", {"attention_head_size": 1}),
    "deepar": ("DeepAR", {"rnn_layers": 2}),
}
PROTOCOL = (
    "Generated table: random walks with one observed, one known column, one category and one number of the series. "
    "One process, no workers on either side (the default of both). Ready: from the sorted table in memory "
    "to the first window that can be asked for; checking the table against its contract, which the library does not "
    "do, is told apart. Training: Lightning's Trainer, networks built by from_dataset, Adam, no extra metrics logged: "
    "tft (TemporalFusionTransformer: hidden size 8, one head, dropout 0, 7 quantiles) and deepar (DeepAR: hidden size "
    "8, two layers, dropout 0, normal law; without the observed column, which it does not take). Both loaders in turn "
    "within each round; the first step of each run is not timed. Each ratio is of one round; figures are medians over "
    "rounds with a 95 % percentile bootstrap over rounds. With one thread, time is the process's CPU seconds, so that "
    "what else computes on the machine counts for nothing; with more it is the wall's. ceiling_ratio: what no loading "
    "at all would reach, measured on one batch over and over. model_share: of a step's time with our loader, what the "
    "network takes by that measure."
)


def run(
    rows: str = "1000000",
    series: str = "10000",
    rounds: str = "5",
    samples: str = "4096",
    batches: str = "64,256,1024,4096",
    threads: str = "1",
) -> dict[str, Any]:
    """Measure, and return the record's content. samples: windows timed in each run, at least two batches of them.

    threads: of torch. With more than one the machine must be idle.

    Raises InputError for a size that is no whole number above 0, and for series shorter than one window.
    """
    N, count, timed = whole("series", series), whole("rounds", rounds), whole("samples", samples)
    sizes = [whole("batches", size) for size in batches.split(",")]
    T = whole("rows", rows) // N
    if T < CONTEXT + HORIZON:
        raise InputError("rows", f"{T} rows a series hold no window of {CONTEXT} + {HORIZON}: add rows")
    before = torch.get_num_threads()
    torch.set_num_threads(whole("threads", threads))
    try:
        with silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas, scikit-learn and Lightning about what the library does
            return _measured(generated(N, T), count, timed, sizes)
    finally:
        torch.set_num_threads(before)


def _measured(table: pd.DataFrame, rounds: int, timed: int, sizes: Sequence[int]) -> dict[str, Any]:
    ready = {
        "ours": [seconds(lambda: prepare(table)) for _ in range(rounds)],
        "theirs": [seconds(lambda: data_set(table)) for _ in range(min(rounds, 3))],
    }
    checked = [seconds(lambda: check(table, COLUMNS)) for _ in range(min(rounds, 3))]
    memory = _memory(table)
    windows = prepare(table)
    bare = [_per_second(_gathered(windows, 4096), 20, 4096) for _ in range(rounds)]
    training = {}
    for name in NETWORKS:
        case = case_of(name, table)
        training[name] = {str(size): _compared(case, size, rounds, timed) for size in sizes}
    return {
        "headline": {
            "ready": f"{np.median(ready['ours']):.2f} s (theirs {np.median(ready['theirs']):.1f} s)",
            "windows": f"{np.median(bare) / 1000:.0f} k/s",
            **{f"{name} trains faster by": _told(figures) for name, figures in training.items()},
        },
        "protocol": PROTOCOL,
        "versions": {name: importlib.metadata.version(name) for name in ("pytorch-forecasting", "pandas")},
        "threads": torch.get_num_threads(),
        "rows": len(table),
        "series": int(table["entity"].nunique()),
        "context": CONTEXT,
        "horizon": HORIZON,
        "windows": len(windows),
        "ready_seconds": {name: interval(values) for name, values in ready.items()},
        "contract_check_seconds": interval(checked),
        "gathered_windows_per_second": interval(bare),
        "memory": memory,
        "training": training,
    }


def _told(by_size: dict[str, Any]) -> str:
    return ", ".join(f"{f['training_ratio']['value']:.1f}× (batch {size})" for size, f in by_size.items())


def generated(N: int, T: int) -> pd.DataFrame:
    """Return a sorted long table of N series of T days."""
    rng = np.random.default_rng(0)
    names = np.array([f"s{number:06d}" for number in range(N)])
    codes = rng.integers(8, size=N)
    return pd.DataFrame(
        {
            "entity": pd.Categorical.from_codes(np.repeat(np.arange(N), T), categories=names),
            "time": np.tile(pd.date_range("2020-01-01", periods=T).as_unit("us"), N),
            "target": rng.normal(size=(N, T)).cumsum(axis=1).reshape(-1),
            "seen": rng.normal(size=N * T),
            "due": rng.normal(size=N * T),
            "kind": pd.Categorical.from_codes(
                np.repeat(codes, T), categories=[f"k{code}" for code in range(8)]
            ),
            "age": np.repeat(rng.normal(size=N), T),
        }
    )


@dataclass(frozen=True, eq=False)
class Case:
    """One network with both sides' windows of one table. convert: makes of our windows what the network takes."""

    name: str
    windows: Windows
    dataset: Any
    convert: Callable[[Batch], ForecastingBatch]


def case_of(name: str, table: pd.DataFrame) -> Case:
    """Return tft or deepar with the windows it trains on. Raises ValueError where the two sides' windows differ."""
    columns = COLUMNS if name == "tft" else replace(COLUMNS, observed=())
    windows, dataset = prepare(table, columns), data_set(table, columns)
    if len(windows) != len(dataset):
        raise ValueError(f"there are {len(windows)} windows here and {len(dataset)} there")
    layout = layout_of(windows.panel, CONTEXT)

    def with_answers(batch: Batch) -> ForecastingBatch:
        """DeepAR learns each step from the answers before it: in the last column, as the library has them."""
        x, (y, weight) = forecasting_batch(batch, layout)
        center_B, scale_B = x["target_scale"].unbind(dim=1)
        x["decoder_cont"][..., -1] = (y - center_B[:, None]) / scale_B[:, None]
        return x, (y, weight)

    plain = name == "tft"
    return Case(
        name, windows, dataset, (lambda batch: forecasting_batch(batch, layout)) if plain else with_answers
    )


def prepare(table: pd.DataFrame, columns: Columns = COLUMNS) -> Windows:
    """Return our windows of a table."""
    panel = build_panel(view(table, columns), columns)
    return Windows(panel, CONTEXT, HORIZON, shortest=CONTEXT)


def data_set(table: pd.DataFrame, columns: Columns = COLUMNS) -> Any:
    """Return the library's data set of a table, with the same windows."""
    library: Any = importlib.import_module("pytorch_forecasting")
    encoders: Any = importlib.import_module("pytorch_forecasting.data")
    step = (table["time"] - table["time"].min()).dt.days
    return library.TimeSeriesDataSet(
        table.assign(step=step).drop(columns="time").astype({"entity": object, "kind": object}),
        time_idx="step",
        target="target",
        group_ids=["entity"],
        max_encoder_length=CONTEXT,
        min_encoder_length=CONTEXT,
        max_prediction_length=HORIZON,
        min_prediction_length=HORIZON,
        static_categoricals=["kind"],
        static_reals=["age"],
        time_varying_known_reals=["due"],
        time_varying_unknown_reals=["target", *columns.observed],
        target_normalizer=encoders.EncoderNormalizer(),
        categorical_encoders={"kind": encoders.NaNLabelEncoder(add_nan=True)},
        add_relative_time_idx=True,
        add_encoder_length=True,
    )


def loaders(case: Case, size: int) -> dict[str, Callable[[], DataLoader[Any]]]:
    """Return what makes each side's loader of training batches, afresh each time."""
    stream = WindowStream(case.windows, size, seed=0, convert=case.convert)
    return {
        "ours": lambda: stream_loader(stream, 0),
        "theirs": lambda: case.dataset.to_dataloader(train=True, batch_size=size, num_workers=0),
    }


def network(case: Case) -> Any:
    """Return the small network that both sides train, always with the same weights."""
    library: Any = importlib.import_module("pytorch_forecasting")
    torch.manual_seed(0)
    class_name, options = NETWORKS[case.name]
    return getattr(library, class_name).from_dataset(
        case.dataset, hidden_size=8, dropout=0.0, logging_metrics=nn.ModuleList([]), **options
    )


class Clock(Callback):
    """Times the steps behind the first one: by `now`, and by the wall."""

    def __init__(self) -> None:
        self.began, self.seconds, self.wall = (0.0, 0.0), 0.0, 0.0

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Start at the end of the first step, and look again at the end of each."""
        if self.began == (0.0, 0.0):
            self.began = now(), time.perf_counter()
        self.seconds, self.wall = now() - self.began[0], time.perf_counter() - self.began[1]


def trained(case: Case, loader: Any, steps: int) -> Clock:
    """Train the small network for 1 + steps steps and return how long the last ones took."""
    clock = Clock()
    trainer = pl.Trainer(
        max_steps=1 + steps,
        max_epochs=-1,
        accelerator="cpu",
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=0.1,
    )
    trainer.fit(network(case), train_dataloaders=loader)
    return clock


def _compared(case: Case, size: int, rounds: int, timed: int) -> dict[str, Any]:
    steps = max(timed // size, 2)
    sides = loaders(case, size)
    alone: dict[str, list[float]] = {name: [] for name in sides}
    speed: dict[str, list[float]] = {name: [] for name in (*sides, "no loading")}
    wall: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, make in sides.items():
            alone[name].append(_per_second(iter(make()), steps, size))
            clock = trained(case, make(), steps)
            speed[name].append(steps * size / clock.seconds)
            wall[name].append(steps * size / clock.wall)
        batch = next(iter(sides["ours"]()))
        clock = trained(case, itertools.repeat(batch), steps)
        speed["no loading"].append(steps * size / clock.seconds)
    return {
        "loader_samples_per_second": {name: interval(values) for name, values in alone.items()},
        "loader_ratio": _ratio(alone["ours"], alone["theirs"]),
        "training_samples_per_second": {name: interval(values) for name, values in speed.items()},
        "training_ratio": _ratio(speed["ours"], speed["theirs"]),
        "training_ratio_by_the_wall": _ratio(wall["ours"], wall["theirs"]),
        "ceiling_ratio": _ratio(speed["no loading"], speed["theirs"]),
        "model_share": _ratio(speed["ours"], speed["no loading"]),
    }


def _memory(table: pd.DataFrame) -> dict[str, float]:
    """Return bytes of the table, of what the windows keep, and the most that preparing them took beside the table."""
    data = int(table.memory_usage(index=False).sum())
    tracemalloc.start()
    try:
        windows = prepare(table)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return {
        "table_bytes": data,
        "kept_bytes": kept,
        "peak_bytes": most,
        "kept_ratio": round(kept / data, 3),
        "peak_ratio": round(most / data, 3),
        "windows": len(windows),
    }


def _gathered(windows: Windows, size: int) -> Iterator[Any]:
    for seed in itertools.count():
        number_B = np.random.default_rng(seed).integers(len(windows), size=size)
        yield windows.gather(windows.origins(number_B))


def _per_second(batches: Iterator[Any], steps: int, size: int) -> float:
    """Return samples a second, behind the first batch."""
    next(batches)
    return steps * size / seconds(lambda: [next(batches) for _ in range(steps)])


def seconds(work: Callable[[], Any]) -> float:
    """Return the seconds, by `now`, that something takes."""
    start = now()
    work()
    return now() - start


def now() -> float:
    """Return CPU seconds of this process where torch has one thread, seconds of the wall where it has more."""
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def interval(values: Sequence[float]) -> dict[str, float]:
    """Return the median over rounds, and its bootstrap interval."""
    value_R = np.array(values)

    def median(weight_R: np.ndarray) -> np.ndarray:
        return np.array([np.median(np.repeat(value_R, weight_R))])

    low, high = bootstrap(median, len(value_R))[:, 0]
    return {"value": _round(np.median(value_R)), "low": _round(low), "high": _round(high)}


def _ratio(above: Sequence[float], below: Sequence[float]) -> dict[str, float]:
    return interval([a / b for a, b in zip(above, below, strict=True)])


def _round(value: float) -> float:
    return float(f"{value:.4g}")
