"""Records of every measurement as they come out, with small numbers, for the tests of the card."""

from __future__ import annotations

from typing import Any

from benchmarks.nodule.shares import GRID

RATES = ("0.125", "0.25", "0.5", "1", "2", "4", "8")
DEVICE = {"cpu": "A CPU", "cores": 2, "memory_bytes": 8 * 2**30, "isa": ["avx2"], "gpus": []}


def group(hits: int, count: int) -> dict[str, Any]:
    """A share."""
    share = hits / count if count else None
    return {"count": count, "found": hits, "sensitivity": share, "interval": [0.1, 0.95] if count else None}


def score(cpm: float) -> dict[str, Any]:
    """FROC numbers of one detector."""
    return {
        "cpm": cpm,
        "ci95": [cpm - 0.05, cpm + 0.05],
        "sensitivity": dict.fromkeys(RATES, cpm),
        "scans": 64,
        "nodules": 200,
    }


def working_point() -> dict[str, Any]:
    """Shares of the held-out phantoms."""
    return {
        "false_positives": 1.25,
        "all": group(180, 200),
        "diameter": {"< 5 mm": group(10, 20), "all": group(180, 200)},
        "kind": {"ground_glass": group(11, 12)},
        "placement": {"juxta_pleural": group(13, 14)},
        "slices": {"thin": group(15, 16)},
    }


def inserted() -> dict[str, Any]:
    """Shares of the development data."""
    names = ("< 5 mm", "5–10 mm", "> 10 mm", "≥ 5 mm", "all")
    diameters = {name: group(80 + i, 100) for i, name in enumerate(names)}
    textures = {name: group(i, 50) for i, name in enumerate(("non-solid", "part-solid", "solid"), 40)}
    subtleties = {str(i): group(0, 0) if i == 1 else group(i, 6) for i in range(1, 6)}
    return {"diameter": diameters, "texture": textures, "subtlety": subtleties}


def mass_group(hits: int, count: int, away: float | None, error: float | None) -> dict[str, Any]:
    """What became of some masses."""
    return {"found": hits, "count": count, "away_mm": away, "diameter_error": error}


def results(weights: str, cpm: float) -> dict[str, dict[str, Any]]:
    """What each measurement returns."""
    rows = [{"threshold": t, "all": 1 - t, "large": 1.0, "false_positives": 3.0} for t in GRID]
    return {
        "training": {
            "weights": weights,
            "parameters": 1_900_000,
            "command": f"triptych-nodule stage=train of-{weights}",
            "phantoms": 24,
            "lungs": 5,
            "nodules": 698,
            "steps": 7500,
            "minutes": 88.4,
            "trainer": {"precision": "bf16"},
            "trained_on": DEVICE,
        },
        "threshold": {"weights": weights, "threshold": 0.37, "most_false": 2.0},
        "phantoms": {
            "weights": weights,
            "compact": {**score(cpm), "working_point": working_point()},
            "blob": score(0.321),
            "table": rows,
        },
        "development": {
            "weights": weights,
            "inserted": inserted(),
            "lung": {"false_positives": 2},
            "cubes": {"count": 10, "found": 9},
            "second_series": [{"threshold": t, "marks": 7} for t in GRID],
            "table": rows,
        },
        "masses": {
            "weights": weights,
            "count": 2,
            "found": 1,
            "placement": {"pleural": mass_group(1, 2, 3.25, -0.054), "central": mass_group(0, 1, None, None)},
            "diameter": {"75": mass_group(1, 2, 3.25, -0.054)},
            "false_marks": 1.5,
            "masses": [
                {"placement": "pleural", "diameter_mm": 64.3, "found": False},
                {"placement": "pleural", "diameter_mm": 70.0, "found": True},
            ],
            "elsewhere": {
                "series": 6,
                "no_lung": 5,
                "findings": 2,
                "parts": {"head": {"series": 4}, "legs": {"series": 2}},
            },
        },
        "unseen": {
            "weights": weights,
            "scans": 1,
            "found": 1,
            "nodules": [
                {"diameter_mm": 8.8, "probability": 0.94, "found": True},
                {"diameter_mm": 7.1, "probability": None, "found": False},
            ],
            "false_positives": 3,
        },
        "speed": {
            "weights": weights,
            "shape": [133, 512, 512],
            "spacing_mm": [2.5, 0.78, 0.78],
            "command": {"seconds": 41.6, "peak_memory_mb": 1870},
            "seconds": {"propose": 9.04},
            "tflop": 0.1234,
        },
        "export": {
            "weights": weights,
            "artifacts": [
                {
                    "network": "judge",
                    "format": "openvino",
                    "error": 2e-6,
                    "ratio": 1.61,
                    "bytes": 5_200_000,
                    "metrics": {"CPM": {"before": 0.88, "after": 0.881}},
                }
            ],
            "absent": [
                {
                    "network": "judge",
                    "format": "openvino_bf16",
                    "status": "not applicable",
                    "why": "no bfloat16",
                }
            ],
            "infer": {"pytorch": {"seconds": 9.6, "peak_memory_mb": 1600}},
        },
    }


def records(training: str = "mixed", weights: str = "abc", cpm: float = 0.876) -> list[dict[str, Any]]:
    """One record a measurement."""
    return [
        {
            "theme": f"nodule-{part}-{training}",
            "time": "2026-05-04T12:00:00Z",
            "command": f"python -m benchmarks.nodule {part}",
            "device": DEVICE,
            "file": f"nodule-{part}-{training}.json",
            "results": result,
        }
        for part, result in results(weights, cpm).items()
    ]
