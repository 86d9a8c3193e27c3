"""python -m benchmarks.jobs MEASUREMENT [NAME=VALUE ...]

measurements:
  overhead       what the queue adds to a job, by jobs at once
  deaths         short jobs while their workers are killed; database=sqlite or postgresql (its server must be installed)
  studies        generated chest CTs while the worker is killed, beside an undisturbed stage=infer
  requests       image requests with an Idempotency-Key while the service is killed; needs the extra serve
  page           write the page of all records

results=DIR      folder of the records (default benchmarks/results)
All other words are those of the measurement's own run(); each tells them where it does not know one.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import answer, from_records, parse, to_repeat
from benchmarks.record import RESULTS, measure
from core.errors import InputError

MEASUREMENTS = ("overhead", "deaths", "studies", "requests")
_PATHS = ("weights",)  # of these the last part alone is recorded


def function_of(measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"benchmarks.jobs.{measurement}").run
    return run


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    return answer(words, __doc__, _main)


def _main(name: str, words: Sequence[str]) -> None:
    run = function_of(name) if name in MEASUREMENTS else None
    values = parse(words, ["results", *(inspect.signature(run).parameters if run else ["output"])])
    folder = Path(values.pop("results", str(RESULTS)))
    if run is None:
        from_records(name, folder, values.get("output"), _no_card, MEASUREMENTS)
        return
    theme = f"jobs-{name}" + ("-postgresql" if values.get("database") == "postgresql" else "")
    print(measure(theme, to_repeat("jobs", name, values, _PATHS), lambda: run(**values), folder))


def _no_card(_: Sequence[dict[str, Any]]) -> str:
    raise InputError("measurement", "the queue has no model card; there is the page")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
