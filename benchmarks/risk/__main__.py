"""python -m benchmarks.risk MEASUREMENT [NAME=VALUE ...]

measurements:
  training       what the training in the run folder run=DIR cost
  markets        VaR and ES of twenty stocks and the S&P 500, every model day by day; needs the extra bench
  credit         default probabilities on UCI's clients, out of fold
  long-horizon   M4-Hourly and exchange rates beside published figures
  loader         panel, windows and training beside pytorch-forecasting's own loader
  scoring        files to files: seconds, memory, one series, killed runs
  tests-size     how often each backtest rejects what is true
  card           write the model card of the embedded weights from the records to output=FILE
  page           write the page of all records

results=DIR      folder of the records (default benchmarks/results)
All other words are those of the measurement's own run(); each tells them where it does not know one. Real data are
looked for in $TRIPTYCH_DATA.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import render_page
from benchmarks.record import RESULTS, measure, read_records
from core.errors import InputError, TriptychError
from core.runs.files import write_text

MEASUREMENTS = ("training", "markets", "credit", "long-horizon", "loader", "scoring", "tests-size")
_PATHS = ("weights", "run", "output", "folder", "data")  # of these the last part alone is recorded


def parse(words: Sequence[str]) -> dict[str, str]:
    """Turn NAME=VALUE words into a mapping. Raises InputError for a word that is none."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError("option", f"{word!r} is no option: write NAME=VALUE")
        values[name] = value
    return values


def function_of(measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(
        f"benchmarks.risk.{measurement.replace('-', '_')}"
    ).run
    return run


def check_words(measurement: str, run: Callable[..., Any], values: dict[str, str]) -> None:
    """Raise InputError for a name that the measurement does not take."""
    known = list(inspect.signature(run).parameters)
    wrong = next((name for name in values if name not in known), None)
    if wrong:
        raise InputError("option", f"{measurement} takes no {wrong!r}; there are results, {', '.join(known)}")


def command_of(measurement: str, values: dict[str, str]) -> str:
    """Return what to type to repeat a measurement; of a path only its last part."""
    words = [f"python -m benchmarks.risk {measurement}"]
    for name, value in values.items():
        words.append(f"{name}={Path(value).name if name in _PATHS and value else value}")
    return " ".join(words)


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    try:
        return _main(words)
    except TriptychError as error:
        print(error.sentence, file=sys.stderr)
        return int(error.exit_code)


def _main(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if words else 2
    name, values = words[0], parse(words[1:])
    folder = Path(values.pop("results", str(RESULTS)))
    if name in MEASUREMENTS:
        run = function_of(name)
        check_words(name, run, values)
        theme = f"risk-{name}" + (f"-{values['part']}" if values.get("part", "test") != "test" else "")
        print(measure(theme, command_of(name, values), lambda: run(**values), folder))
    elif name == "card":
        if not values.get("output"):
            raise InputError("output", "add output=FILE")
        from benchmarks.risk.card import render_card

        write_text(Path(values["output"]), render_card(read_records(folder)))
    elif name == "page":
        write_text(folder / "README.md", render_page(read_records(folder)))
    else:
        choices = ", ".join([*MEASUREMENTS, "card", "page"])
        raise InputError("measurement", f"{name!r} is no measurement; there are {choices}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
