"""stage=evaluate from files to files: numbers by hand, the same bytes twice, one line for each bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from apps.nodule.config import NoduleConfig
from apps.nodule.data.luna16 import Annotations, Predictions
from apps.nodule.evaluate import evaluate as judge_marks
from apps.nodule.evaluate import metrics_of, run
from core.data.paths import data_root
from core.errors import InputError
from core.runs.folder import Run

RATES = ["0.125", "0.25", "0.5", "1", "2", "4", "8"]
FILES = ["froc.csv", "froc.png", "froc.svg", "metrics.json"]


def write_case(folder: Path) -> dict[str, str]:
    """Four scans, two nodules found at .9 and .5, four false positives, one mark at an excluded position."""
    marks = [
        "1,0,0,0,0.9",
        "2,0,0,0,0.5",
        "1,90,0,0,0.8",
        "2,90,0,0,0.7",
        "3,90,0,0,0.6",
        "4,90,0,0,0.4",
        "3,0,0,0,0.95",
    ]
    texts = {
        "predictions": "seriesuid,coordX,coordY,coordZ,probability\n" + "\n".join(marks) + "\n",
        "annotations": "seriesuid,coordX,coordY,coordZ,diameter_mm\n1,0,0,0,5\n2,0,0,0,5\n77,0,0,0,5\n",
        "excluded": "seriesuid,coordX,coordY,coordZ,diameter_mm\n3,0,0,0,-1\n",
        "seriesuids": "1\n2\n3\n4\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return {name: str(folder / f"{name}.csv") for name in texts}


def evaluate(folder: Path, output: str, **files: str | None) -> Path:
    config = NoduleConfig(stage="evaluate", output=str(folder / output), **files)
    record = Run(folder / f"run-{output}")
    try:
        assert run(config, record) == 0
    finally:
        record.close()
    return folder / output


def test_numbers_by_hand(tmp_path: Path) -> None:
    output = evaluate(tmp_path, "out", **write_case(tmp_path))
    metrics = json.loads((output / "metrics.json").read_text())
    # the curve is worked out in test_froc.py::test_sensitivities_by_hand
    assert metrics["sensitivity"] == dict(zip(RATES, [0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0], strict=True))
    assert metrics["cpm"] == pytest.approx(5.5 / 7, abs=1e-12)
    low, high = metrics["ci95"]
    assert 0.0 <= low <= metrics["cpm"] <= high <= 1.0
    assert list(metrics["sensitivity_ci95"]) == sorted(RATES, key=str)
    counts = ("scans", "nodules", "detected", "marks", "false_positives", "double_hits", "on_excluded")
    assert [metrics[name] for name in counts] == [4, 2, 2, 7, 4, 0, 1]
    assert (output / "froc.csv").read_text().splitlines()[:3] == [
        "false_positives_per_scan,sensitivity,threshold",
        "0.0,0.5,0.9",
        "0.25,0.5,0.8",
    ]
    assert sorted(path.name for path in output.iterdir()) == FILES
    assert (output / "froc.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "froc.svg").read_text().startswith("<svg")
    assert (tmp_path / "run-out" / "metrics.json").read_bytes() == (output / "metrics.json").read_bytes()


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    files = write_case(tmp_path)
    first, second = evaluate(tmp_path, "first", **files), evaluate(tmp_path, "second", **files)
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_excluded_findings_are_optional(tmp_path: Path) -> None:
    files = {**write_case(tmp_path), "excluded": None}
    metrics = json.loads((evaluate(tmp_path, "out", **files) / "metrics.json").read_text())
    assert metrics["on_excluded"] == 0
    assert metrics["false_positives"] == 5


def test_scans_without_a_nodule_have_no_sensitivity(tmp_path: Path) -> None:
    files = write_case(tmp_path)
    Path(files["seriesuids"]).write_text("4\n")
    Path(files["predictions"]).write_text("seriesuid,coordX,coordY,coordZ,probability\n4,0,0,0,0.5\n")
    with pytest.raises(InputError, match=r"annotations\.csv has no nodule on the scans of .*seriesuids\.csv"):
        evaluate(tmp_path, "out", **files)
    assert not (tmp_path / "out").exists()


def test_a_mark_on_an_unlisted_scan_is_refused(tmp_path: Path) -> None:
    files = write_case(tmp_path)
    with Path(files["predictions"]).open("a") as stream:
        stream.write("5,0,0,0,0.5\n")
    with pytest.raises(
        InputError, match=r"predictions\.csv row 9, column seriesuid: the series is not in the list"
    ):
        evaluate(tmp_path, "out", **files)


def test_metrics_without_a_nodule_are_null() -> None:
    nothing = Annotations((), np.zeros((0, 3)), np.zeros(0))
    marks = Predictions((), np.zeros((0, 3)), np.zeros(0), np.zeros(0))
    metrics = metrics_of(*judge_marks(marks, nothing, nothing, ("1",), samples=3), seed=0)
    assert metrics["cpm"] is None
    assert metrics["ci95"] == [None, None]


def test_a_perfect_reader_of_the_real_scan(tmp_path: Path) -> None:
    root = data_root()
    if root is None or not (root / "ct" / "lidc-0063").is_dir():
        pytest.skip("ct/lidc-0063 is not here: set TRIPTYCH_DATA to the folder of real data")
    folder = root / "ct" / "lidc-0063"
    rows = (folder / "annotations.csv").read_text().splitlines()
    others = (folder / "annotations_excluded.csv").read_text().splitlines()[1:]
    text = rows[0].replace("diameter_mm", "probability") + "\n"
    text += "".join(row.rsplit(",", 1)[0] + ",1\n" for row in [*rows[1:], *others])
    (tmp_path / "marks.csv").write_text(text)
    output = evaluate(
        tmp_path,
        "out",
        predictions=str(tmp_path / "marks.csv"),
        annotations=str(folder / "annotations.csv"),
        excluded=str(folder / "annotations_excluded.csv"),
        seriesuids=str(folder / "seriesuids.csv"),
    )
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["cpm"] == 1.0
    assert metrics["false_positives"] == 0
    assert metrics["marks"] == 28
