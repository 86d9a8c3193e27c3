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

import functools
import sys
from collections.abc import Mapping, Sequence

from benchmarks.command_line import answer, measure_by_name

MEASUREMENTS = ("overhead", "deaths", "studies", "requests")
_PATHS = ("weights",)  # of these the last part alone is recorded


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    work = functools.partial(
        measure_by_name, "jobs", measurements=MEASUREMENTS, theme_of=_theme, paths=_PATHS
    )
    return answer(words, __doc__, work)


def _theme(values: Mapping[str, str]) -> str:
    return "-postgresql" if values.get("database") == "postgresql" else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
