"""stage=evaluate: a detector's marks against annotations, by LUNA16's rules, as numbers and a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from apps.nodule.config import NoduleConfig
from apps.nodule.data.luna16 import (
    Annotations,
    Predictions,
    read_annotations,
    read_predictions,
    read_seriesuids,
    scan_numbers,
)
from apps.nodule.metrics.froc import RATES, Froc, Marks, Matched, Spheres, froc, match
from apps.nodule.reasons import BAD_INPUT
from core.errors import ExitCode
from core.reports.plots import ACCENT, figure, to_png, to_svg
from core.runs.files import write_bytes, write_csv, write_json, write_text
from core.runs.folder import Run
from core.statistics.bootstrap import SAMPLES

# Column of froc.csv → what it holds.
CURVE = {
    "false_positives_per_scan": "mean number of false positives a scan at this threshold",
    "sensitivity": "share of the annotated nodules that are detected at this threshold, 0 to 1",
    "threshold": "probability from which a candidate counts",
}
CURVE_COLUMNS = tuple(CURVE)
NO_FINDINGS = Annotations((), np.zeros((0, 3)), np.zeros(0))


class Evaluation(NamedTuple):
    """A detector's marks judged: which mark hit which nodule, and the curve over all thresholds."""

    matched: Matched
    froc: Froc


def run(cfg: NoduleConfig, run: Run) -> int:
    """Read LUNA16's files, write metrics.json, froc.csv, froc.png and froc.svg to `output`.

    Raises InputError for a bad file, and where the scans listed hold no nodule: sensitivity is undefined then.
    """
    scans = read_seriesuids(Path(cfg.seriesuids or ""))
    predictions = read_predictions(Path(cfg.predictions or ""), scans)
    annotations = read_annotations(Path(cfg.annotations or ""))
    excluded = read_annotations(Path(cfg.excluded)) if cfg.excluded else NO_FINDINGS
    matched, result = evaluate(predictions, annotations, excluded, scans, seed=cfg.seed)
    if not len(matched.nodule_scan_K):
        raise BAD_INPUT("no_nodules", annotations=cfg.annotations, seriesuids=cfg.seriesuids)
    metrics = metrics_of(matched, result, seed=cfg.seed)
    _write(Path(cfg.output or ""), metrics, result)
    run.write_metrics(metrics)
    run.log.event("evaluated", items=len(scans), count=matched.marks, name="cpm", value=metrics["cpm"])
    return ExitCode.DONE


def evaluate(
    predictions: Predictions,
    annotations: Annotations,
    excluded: Annotations,
    scans: tuple[str, ...],
    seed: int = 0,
    samples: int = SAMPLES,
) -> Evaluation:
    """Judge marks on the scans listed by LUNA16's rules; what lies on other scans is left out, as in its script.

    predictions, annotations, excluded: centres in LPS mm, as `apps.nodule.data.luna16` reads them. scans: their series
    UIDs. seed, samples: of the bootstrap over scans.
    """
    matched = match(
        _marks(predictions, scans), _spheres(annotations, scans), _spheres(excluded, scans), scans=len(scans)
    )
    return Evaluation(matched, froc(matched, samples, seed))


def metrics_of(matched: Matched, result: Froc, seed: int) -> dict[str, Any]:
    """Return what metrics.json holds; a number that is undefined is null.

    ci95 is the interval of cpm; sensitivity and sensitivity_ci95 are keyed by false positives a scan.
    """
    keys = [f"{rate:g}" for rate in RATES]
    return {
        "cpm": _number(result.cpm),
        "ci95": _pair(result.cpm_interval),
        "sensitivity": dict(zip(keys, map(_number, result.sensitivity_R), strict=True)),
        "sensitivity_ci95": dict(zip(keys, map(_pair, result.interval_2R.T), strict=True)),
        "scans": matched.scans,
        "nodules": len(matched.nodule_scan_K),
        "detected": matched.detected,
        "marks": matched.marks,
        "false_positives": len(matched.false_scan_M),
        "double_hits": matched.double_hits,
        "on_excluded": matched.on_excluded,
        "bootstrap_samples": SAMPLES,
        "seed": seed,
    }


def draw_froc(made: Figure, result: Froc) -> None:
    """Draw sensitivity over false positives a scan, log axis from 1/8 to 8, with the 95 % band and the seven marks."""
    axes = made.add_subplot()
    lower, upper = result.band_2P
    axes.fill_between(
        result.band_rate_P, lower, upper, color=ACCENT, alpha=0.18, linewidth=0, label="95 % interval"
    )
    curve_P = np.interp(result.band_rate_P, result.rate_T, result.sensitivity_T)
    axes.plot(result.band_rate_P, curve_P, color=ACCENT)
    axes.plot(RATES, result.sensitivity_R, "o", color=ACCENT, markersize=5, clip_on=False)
    axes.set_xscale("log", base=2)
    axes.set_xlim(RATES[0], RATES[-1])
    axes.xaxis.set_major_locator(FixedLocator(list(RATES)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_ylim(0.0, 1.02)
    axes.set_xlabel("false positives per scan")
    axes.set_ylabel("sensitivity")
    low, high = result.cpm_interval
    axes.set_title(f"FROC: CPM {result.cpm:.3f} (95 % {low:.3f} to {high:.3f})")
    axes.legend(loc="lower right")


def _write(output: Path, metrics: dict[str, Any], result: Froc) -> None:
    write_json(output / "metrics.json", metrics)
    curve = (result.rate_T[1:], result.sensitivity_T[1:], result.threshold_T[1:])
    write_csv(output / "froc.csv", CURVE_COLUMNS, zip(*[values.tolist() for values in curve], strict=True))
    with figure(6.4, 4.2) as made:
        draw_froc(made, result)
        write_bytes(output / "froc.png", to_png(made))
        alt = f"FROC curve, CPM {result.cpm:.3f}"
        write_text(output / "froc.svg", str(to_svg(made, alt)))


def _marks(predictions: Predictions, scans: tuple[str, ...]) -> Marks:
    scan_N = scan_numbers(predictions.series, scans)
    listed = scan_N >= 0
    return Marks(scan_N[listed], predictions.centre_N3[listed], predictions.probability_N[listed])


def _spheres(annotations: Annotations, scans: tuple[str, ...]) -> Spheres:
    scan_K = scan_numbers(annotations.series, scans)
    listed = scan_K >= 0
    return Spheres(scan_K[listed], annotations.centre_K3[listed], annotations.diameter_K[listed])


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _pair(bounds: np.ndarray) -> list[float | None]:
    return [_number(bound) for bound in bounds]
