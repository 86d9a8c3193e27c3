"""What a request to the scoring service costs: one client, one series, and where the time goes."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from apps.risk import api
from apps.risk.config import RiskConfig
from apps.risk.data.loan_book import generate_loan_book
from apps.risk.models.risk_model import EMBEDDED
from apps.risk.service import scorer as service
from apps.risk.service.app import build
from apps.risk.service.scorer import Scorer
from benchmarks.command_line import whole
from benchmarks.risk.scoring import median_interval
from core.compute.threads import one_thread
from core.runs.folder import Run
from core.serving.messages import Message
from core.serving.server import served

HORIZON, DAYS = 10, 260
WARM = 20  # requests before the first that counts
MEDIA_TYPE = "application/json"
# Part of a request → where the function is looked up that does it.
PARTS: dict[str, tuple[Any, str]] = {
    "JSON read": (service, "read_request"),
    "data frame": (service, "frame_of"),
    "table judged, panel built": (api, "load_table"),
    "model, rows of the scores": (api, "score_into"),
    "JSON written": (service, "answer_of"),
}
PROTOCOL = (
    "stage=serve on loopback, its model in a process of its own, one thread; a client on the same machine posts one "
    "JSON table after the other over one connection. Client: one borrower of the generated loan book with its months "
    "so far, scored by the champion of the embedded loan models. Series: daily returns of one series, "
    f"{DAYS} days, horizon {HORIZON}, scored by the embedded riskformer, with its portfolio. Whole: from the first "
    "byte sent to the last received, median with a 95 % percentile bootstrap. Parts: the same requests in one process "
    "without HTTP, medians of each part; HTTP and process is what the whole takes beyond that."
)


def run(requests: str = "300") -> dict[str, Any]:
    """Measure, and return the record's content. Raises InputError for a count that is no whole number above 0."""
    count = whole("requests", requests)
    cases = {
        "one client": (str(EMBEDDED / "loan_book"), client_body()),
        "one series": (None, series_body()),
    }
    with tempfile.TemporaryDirectory() as name:
        costs = {
            case: cost_of(Path(name) / case.replace(" ", "-"), weights, body, count)
            for case, (weights, body) in cases.items()
        }
    return {
        "headline": {
            case: f"p50 {cost['milliseconds_p50']['value']:.1f} ms, p95 {cost['milliseconds_p95']:.1f} ms"
            for case, cost in costs.items()
        },
        "protocol": PROTOCOL,
        "cores": len(os.sched_getaffinity(0)),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "requests": count,
        "cases": costs,
    }


def client_body() -> bytes:
    """Return a request for one client of a loan book who has not defaulted yet."""
    book = generate_loan_book(borrowers=20, seed=0)
    defaulted = set(book.table.loc[book.table["default"] == 1.0, "borrower"])
    longest = book.table[~book.table["borrower"].isin(defaulted)].groupby("borrower").size().idxmax()
    rows = book.table[book.table["borrower"] == longest]
    return json.dumps({"table": json.loads(rows.to_json(orient="records", date_format="iso"))}).encode()


def series_body() -> bytes:
    """Return a request for one series of daily returns."""
    days = pd.bdate_range("2023-01-02", periods=DAYS).strftime("%Y-%m-%d")
    values = np.random.default_rng(0).standard_t(5, DAYS).round(4).tolist()
    table = {"entity": ["fund"] * DAYS, "time": days.tolist(), "target": values}
    return json.dumps({"table": table, "horizon": HORIZON}).encode()


def cost_of(folder: Path, weights: str | None, body: bytes, count: int) -> dict[str, Any]:
    """Return milliseconds of a request, whole and by its parts."""
    cfg = RiskConfig(stage="serve", weights=weights)
    record = Run(folder)
    headers = {"Content-Type": MEDIA_TYPE}
    with record.log, served(build(cfg, record)) as url, httpx.Client(base_url=url, timeout=60) as client:

        def ask() -> bytes:
            answer = client.post("/v1/scores", content=body, headers=headers)
            answer.raise_for_status()
            return answer.content

        whole_ms, served_bytes = timed(ask, count)
    limits = {"rows": cfg.serve.rows, "cells": cfg.serve.cells}
    model = Scorer({"folder": weights}, {"horizon": HORIZON, "paths": None, "seed": 0}, limits)
    message = Message({"media_type": MEDIA_TYPE, "query": []}, {"body": np.frombuffer(body, np.uint8)})
    with one_thread():
        parts, inside_ms, same = by_part(lambda: model(message).arrays["answer"].tobytes(), count)
    p50 = float(np.median(whole_ms))
    return {
        "milliseconds_p50": median_interval(whole_ms),
        "milliseconds_p95": round(float(np.percentile(whole_ms, 95)), 3),
        "parts_milliseconds_p50": {
            part: round(value, 3) for part, value in {**parts, "HTTP and process": p50 - inside_ms}.items()
        },
        "bytes_sent": len(body),
        "bytes_received": len(served_bytes),
        "same_answer_in_process": same == served_bytes,
    }


def timed(work: Callable[[], bytes], count: int) -> tuple[np.ndarray, bytes]:
    """Return milliseconds of each of `count` calls after some that do not count, and the last answer."""
    answer = b""
    for _ in range(WARM):
        answer = work()
    milliseconds = np.empty(count)
    for number in range(count):
        began = time.perf_counter()
        answer = work()
        milliseconds[number] = 1000.0 * (time.perf_counter() - began)
    return milliseconds, answer


def by_part(work: Callable[[], bytes], count: int) -> tuple[dict[str, float], float, bytes]:
    """Return the median milliseconds of each part of a request and of all of it, and the answer."""
    spent: dict[str, list[float]] = defaultdict(list)
    kept = {part: getattr(module, name) for part, (module, name) in PARTS.items()}

    def clocked(part: str) -> Callable[..., Any]:
        def call(*given: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return kept[part](*given, **options)
            finally:
                spent[part].append(1000.0 * (time.perf_counter() - began))

        return call

    try:
        for part, (module, name) in PARTS.items():
            setattr(module, name, clocked(part))
        milliseconds, answer = timed(work, count)
    finally:
        for part, (module, name) in PARTS.items():
            setattr(module, name, kept[part])
    medians = {part: float(np.median(times[WARM:])) for part, times in spent.items()}
    inside = float(np.median(milliseconds))
    return {**medians, "the rest of the scoring": inside - sum(medians.values())}, inside, answer
