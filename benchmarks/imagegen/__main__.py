"""python -m benchmarks.imagegen MEASUREMENT [NAME=VALUE ...]

measurements:
  training       what the training in the run folder run=DIR cost
  quality        autoencoder, KID and caption match of the pipeline in model=DIR, or of the embedded one
  engine         images a second beside a serial diffusers pipeline
  service        what HTTP adds to the engine's time; needs the extra serve
  personalise    another style learned from a few pictures: how near, at which cost
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

from benchmarks.command_line import answer, parse, to_repeat
from benchmarks.page import render_page
from benchmarks.record import RESULTS, measure, read_records
from core.errors import InputError
from core.runs.files import write_text

MEASUREMENTS = ("training", "quality", "engine", "service", "personalise")
_PATHS = ("cache", "model", "output", "run")  # of these the last part alone is recorded


def function_of(measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"benchmarks.imagegen.{measurement}").run
    return run


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    return answer(words, __doc__, _main)


def _main(name: str, words: Sequence[str]) -> None:
    run = function_of(name) if name in MEASUREMENTS else None
    values = parse(words, ["results", *(inspect.signature(run).parameters if run else [])])
    folder = Path(values.pop("results", str(RESULTS)))
    if run is not None:
        work = run
        print(
            measure(
                f"imagegen-{name}",
                to_repeat("imagegen", name, values, _PATHS),
                lambda: work(**values),
                folder,
            )
        )
    elif name == "page":
        write_text(folder / "README.md", render_page(read_records(folder)))
    else:
        choices = ", ".join([*MEASUREMENTS, "page"])
        raise InputError("measurement", f"{name!r} is no measurement; there are {choices}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
