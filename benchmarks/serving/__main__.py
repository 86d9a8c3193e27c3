"""python -m benchmarks.serving MEASUREMENT [NAME=VALUE ...]

measurements:
  openapi        random requests by a service's own OpenAPI; service=nodule, risk, imagegen or models
  overhead       what triptych-models adds to a network's own time, by the size of the request
  batching       requests a second of 16 clients with batching, over those without
  kills          whether answers stay right while the processes of a model are killed under load
  page           write the page of all records

results=DIR      folder of the records (default benchmarks/results)
All other words are those of the measurement's own run(); each tells them where it does not know one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping, Sequence

from benchmarks.command_line import answer, measure_by_name

MEASUREMENTS = ("openapi", "overhead", "batching", "kills")
_PATHS = ("words",)  # of these the last part alone is recorded


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    theme_of = _service if words[:1] == ["openapi"] else _nothing
    work = functools.partial(
        measure_by_name, "serving", measurements=MEASUREMENTS, theme_of=theme_of, paths=_PATHS
    )
    return answer(words, __doc__, work)


def _service(values: Mapping[str, str]) -> str:
    return f"-{values.get('service', 'nodule')}"


def _nothing(_: Mapping[str, str]) -> str:
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
