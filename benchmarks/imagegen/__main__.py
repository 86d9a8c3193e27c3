"""python -m benchmarks.imagegen MEASUREMENT [NAME=VALUE ...]

measurements:
  training       what the training in the run folder run=DIR cost
  quality        autoencoder, KID and caption match of the pipeline in model=DIR, or of the embedded one
  engine         images a second beside a serial diffusers pipeline
  sameness       whether an image's bytes depend on what else is drawn
  swaps          whether memory stays flat while many adapters are used in turn
  service        what HTTP adds to the engine's time; needs the extra serve
  export         every format that is installed: error, speed, KID, caption match; and seconds of a picture on each
  personalise    another style learned from a few pictures: how near, at which cost
  card           write the model card of the embedded weights from the records to output=FILE
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

MEASUREMENTS = ("training", "quality", "engine", "sameness", "swaps", "service", "export", "personalise")
_PATHS = ("cache", "model", "output", "run")  # of these the last part alone is recorded


def function_of(measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"benchmarks.imagegen.{measurement}").run
    return run


def card_of(records: Sequence[dict[str, Any]]) -> str:
    """Return the model card."""
    from benchmarks.imagegen.card import (
        render_card,  # the model's libraries take seconds that help need not wait
    )

    return render_card(records)


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    return answer(words, __doc__, _main)


def _main(name: str, words: Sequence[str]) -> None:
    run = function_of(name) if name in MEASUREMENTS else None
    values = parse(words, ["results", *(inspect.signature(run).parameters if run else ["output"])])
    folder = Path(values.pop("results", str(RESULTS)))
    if run is None:
        from_records(name, folder, values.get("output"), card_of, MEASUREMENTS)
        return
    command = to_repeat("imagegen", name, values, _PATHS)
    print(measure(f"imagegen-{name}", command, lambda: run(**values), folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
