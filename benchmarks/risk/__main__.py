"""python -m benchmarks.risk MEASUREMENT [NAME=VALUE ...]

measurements:
  training       what the training in the run folder run=DIR cost
  markets        VaR and ES of twenty stocks and the S&P 500, every model day by day; needs the extra bench
  credit         default probabilities on UCI's clients, out of fold
  long-horizon   M4-Hourly and exchange rates beside published figures
  loader         panel, windows and training beside pytorch-forecasting's own loader
  scoring        files to files: seconds, memory, one series, killed runs
  serving        one client and one series over HTTP, and where the time goes
  export         every format of the embedded networks that is installed: error, speed, losses
  tests-size     how often each backtest rejects what is true
  card           write the model card of model=series (default) or model=loan_book from the records to output=FILE
  page           write the page of all records

results=DIR      folder of the records (default benchmarks/results)
All other words are those of the measurement's own run(); each tells them where it does not know one. Real data are
looked for in $TRIPTYCH_DATA.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import answer, from_records, parse, to_repeat
from benchmarks.record import RESULTS, measure

MEASUREMENTS = (
    *(
        "training",
        "markets",
        "credit",
        "long-horizon",
        "loader",
        "scoring",
        "serving",
        "export",
        "tests-size",
    ),
)
_PATHS = ("weights", "run", "output", "folder", "data", "cache")  # of these the last part alone is recorded


def function_of(measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(
        f"benchmarks.risk.{measurement.replace('-', '_')}"
    ).run
    return run


def card_of(records: Sequence[dict[str, Any]], model: str) -> str:
    """Return the card of an embedded model."""
    from benchmarks.risk.card import render_card  # the model's libraries take seconds that help need not wait

    return render_card(records, model)


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    return answer(words, __doc__, _main)


def _main(name: str, words: Sequence[str]) -> None:
    run = function_of(name) if name in MEASUREMENTS else None
    values = parse(words, ["results", *(inspect.signature(run).parameters if run else ["output", "model"])])
    folder = Path(values.pop("results", str(RESULTS)))
    if run is None:
        render = functools.partial(card_of, model=values.get("model", "series"))
        from_records(name, folder, values.get("output"), render, MEASUREMENTS)
        return
    theme = f"risk-{name}" + (f"-{values['part']}" if values.get("part", "test") != "test" else "")
    print(measure(theme, to_repeat("risk", name, values, _PATHS), lambda: run(**values), folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
