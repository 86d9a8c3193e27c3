"""python -m benchmarks.nodule MEASUREMENT [NAME=VALUE ...]

measurements:
  held-out       make the held-out phantoms (about 15 s each); the others do so where they are missing
  threshold      choose the working point by the rule; output=FILE writes the weights with it (version=…)
  phantoms       CPM on held-out phantoms, beside the Laplacian of Gaussian
  development    inserted real nodules, false positives of a real lung, whole cubes
  masses         masses of 30 to 90 mm in generated chests, and bodies without lungs (about 15 minutes)
  unseen         nodules found on the annotated scans of test patients in the folder scan=DIR
  speed          what the scan in the folder scan=DIR costs
  export         every format that is installed: error, speed, CPM; and what the scan in scan=DIR costs in each
  retinanet      MONAI's network in every format: error and speed, on generated chests and the scan in scan=DIR
  training       what the training in the run folder run=DIR cost
  card           write the model card from the records to output=FILE
  page           write the page of all records

names:
  weights=FILE       weights of stage=train; the embedded ones where left out
  training=NAME      mixed or phantoms: what the weights were trained on (default mixed)
  count=N            held-out phantoms, or chests that an export is judged on (default 64)
  cache=DIR          folder for phantoms and candidates; may be deleted at any time (default .cache/nodule)
  results=DIR        folder of the records (default benchmarks/results)
  real=DIR           folder of real data; $TRIPTYCH_DATA where left out

What was computed once for the same weights is kept in the cache: a measurement goes on where it was interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from apps.nodule.config import ModelConfig
from apps.nodule.data.training.specimens import load_vois
from apps.nodule.models.compact_detector import CompactDetector, load_compact
from benchmarks.command_line import answer, from_records, parse, to_repeat, whole
from benchmarks.nodule import development, phantoms, working_point
from benchmarks.nodule.card import render_card
from benchmarks.nodule.detection_cache import compact_cache, weights_digest
from benchmarks.nodule.export import measure_formats
from benchmarks.nodule.held_out import COUNT, held_out
from benchmarks.nodule.masses import measure_masses
from benchmarks.nodule.retinanet import measure_retinanet
from benchmarks.nodule.speed import measure_speed
from benchmarks.nodule.training import measure_training
from benchmarks.nodule.unseen import measure_unseen
from benchmarks.record import RESULTS, measure
from core.data.paths import data_root
from core.errors import InputError

TRAININGS = ("mixed", "phantoms")
_PATHS = ("weights", "scan", "run", "output")  # of these the last part alone is recorded
_PLACES = ("cache", "results", "real")  # and of these nothing


@dataclass
class Options:
    """What may be given on the command line; see this file's head."""

    weights: str = ""
    training: str = "mixed"
    count: int = COUNT
    cache: str = ".cache/nodule"
    results: str = str(RESULTS)
    real: str = ""
    scan: str = ""
    run: str = ""
    output: str = ""
    version: str = "1"

    def __post_init__(self) -> None:
        if self.training not in TRAININGS:
            raise InputError("training", f"training is {self.training!r}, wanted mixed or phantoms")

    def need(self, name: str) -> Path:
        """Return a path that this measurement cannot do without."""
        value = str(getattr(self, name))
        if not value:
            raise InputError(name, f"add {name}=…")
        return Path(value)

    def detector(self) -> CompactDetector:
        """Return the detector to measure."""
        return load_compact(ModelConfig(), self.weights or None)

    def real_root(self) -> Path:
        """Return the folder of real data."""
        root = Path(self.real) if self.real else data_root()
        if root is None or not (root / "ct" / "lidc-nodules").is_dir():
            raise InputError("no_real_data", "name the folder of real data: real=DIR or $TRIPTYCH_DATA")
        return root

    def phantoms(self) -> list[Any]:
        """Return the held-out phantoms."""
        return held_out(Path(self.cache) / "held-out", self.count)

    @property
    def detections(self) -> Path:
        """Where candidates are kept."""
        return Path(self.cache) / "detections"


def options_of(words: Sequence[str]) -> Options:
    """Turn NAME=VALUE words into options. Raises InputError for an unknown option or a value that is not allowed."""
    values: dict[str, Any] = dict(parse(words, [field.name for field in fields(Options)]))
    if "count" in values:
        values["count"] = whole("count", values["count"])
    return Options(**values)


def threshold(options: Options) -> dict[str, Any]:
    """Choose the working point, and write the weights with it where an output is named."""
    detector, chests = options.detector(), options.phantoms()
    lung = development.development_lung(options.real_root())
    detections = compact_cache(options.detections, detector)
    on_phantoms = phantoms.matched_on(chests, phantoms.seen_by_compact(detector, chests, options.detections))
    plain = development.find_in_lung(detector, lung, detections)
    chosen = working_point.choose_threshold({"development lung": plain, "held-out phantoms": on_phantoms})
    if options.output:
        working_point.stamp(detector, chosen["threshold"], options.version, Path(options.output))
    inserted = development.find_inserted(
        detector, lung, load_vois(options.real_root() / "ct" / "lidc-nodules", "development"), detections
    )
    sensitivity = development.groups_at(inserted, chosen["threshold"])["diameter"]
    return {
        "headline": {"threshold": f"{chosen['threshold']:g}"},
        "weights": weights_digest(detector.net),
        **chosen,
        "sensitivity": sensitivity,
    }


def command_of(measurement: str, options: Options) -> str:
    """Return what to type to repeat a measurement; of a path only its last part."""
    plain = vars(Options())
    changed = {
        name: value for name, value in vars(options).items() if value != plain[name] and name not in _PLACES
    }
    return to_repeat("nodule", measurement, changed, _PATHS)


MEASUREMENTS: dict[str, Callable[[Options], dict[str, Any]]] = {
    "threshold": threshold,
    "phantoms": lambda o: phantoms.measure_phantoms(o.detector(), o.phantoms(), o.detections),
    "development": lambda o: development.measure_development(o.detector(), o.real_root(), o.detections),
    "masses": lambda o: measure_masses(o.detector(), o.detections),
    "unseen": lambda o: measure_unseen(o.detector(), o.need("scan")),
    "speed": lambda o: measure_speed(o.detector(), o.weights or None, o.need("scan")),
    "export": lambda o: measure_formats(o.weights or None, o.need("scan"), Path(o.cache), o.count),
    "retinanet": lambda o: measure_retinanet(Path(o.cache), o.need("scan")),
    "training": lambda o: measure_training(o.need("run")),
}


def main(words: Sequence[str]) -> int:
    """Run one measurement; return 2 with one line on stderr where the input does not serve."""
    return answer(words, __doc__, _main)


def _main(name: str, words: Sequence[str]) -> None:
    options = options_of(words)
    folder = Path(options.results)
    if name in MEASUREMENTS:
        theme = f"nodule-{name}-{options.training}"
        path = measure(theme, command_of(name, options), lambda: MEASUREMENTS[name](options), folder)
        print(path)
    elif name == "held-out":
        print(f"{len(options.phantoms())} phantoms in {Path(options.cache) / 'held-out'}")
    else:
        from_records(name, folder, options.output, render_card, [*MEASUREMENTS, "held-out"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
