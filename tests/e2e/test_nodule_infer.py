"""The command as a hospital types it: one real process for each exit code, and one real chest CT."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.nodule.data.luna16 import read_annotations, read_predictions
from apps.nodule.evaluate import evaluate
from apps.nodule.models.compact_detector import EMBEDDED
from tests.apps.nodule import inputs

ROOT = Path(__file__).resolve().parents[2]
FOUND_IN_EACH = {"nodules.csv", "candidates.csv", "report.json", "report.html", "sr.dcm"}
# The entry point with one part broken: nothing that a user can pass makes the program itself fail.
BROKEN = """
import sys
import apps.nodule.infer as infer
from pipelines.nodule import main
infer.scan = lambda *_, **__: {}["CANARY7Q"]
sys.exit(main(sys.argv[1:]))
"""

pytestmark = pytest.mark.e2e


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )


@pytest.mark.parametrize(
    ("make", "script", "code", "said"),
    [
        (inputs.localiser, ["-m", "pipelines.nodule"], 0, "note: 1 of 1 series were skipped, all because "),
        (
            lambda folder: folder.mkdir(),
            ["-m", "pipelines.nodule"],
            2,
            "triptych-nodule: in holds no file to read\n",
        ),
        (
            inputs.localiser,
            ["-c", BROKEN],
            3,
            "triptych-nodule: internal fault: KeyError at apps/nodule/infer.py:",
        ),
        (inputs.missing, ["-m", "pipelines.nodule"], 4, "note: 1 of 1 series were quarantined, all because "),
    ],
    ids=["skipped", "empty", "broken", "quarantined"],
)
def test_exit_codes(
    tmp_path: Path, make: Callable[[Path], object], script: list[str], code: int, said: str
) -> None:
    make(tmp_path / "in")
    weights = inputs.fresh_weights(tmp_path / "w.safetensors")
    done = command(tmp_path, *script, "stage=infer", "input=in", "output=out", f"weights={weights}")
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert "CANARY7Q" not in done.stderr
    assert (tmp_path / "out" / "summary.csv").is_file() == (code in (0, 4))


# Runs the command and leaves its own greatest memory in KiB; what getrusage tells of a child begins with its parent's.
WATCHED = r"""
import atexit, pathlib, re, runpy, sys

def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    pathlib.Path("peak").write_text(re.search(r"VmHWM:\s+(\d+) kB", status)[1])

atexit.register(tell)
sys.argv = ["pipelines.nodule", *sys.argv[1:]]
runpy.run_module("pipelines.nodule", run_name="__main__")
"""


@pytest.mark.realdata
@pytest.mark.skipif(
    not EMBEDDED.is_file(),
    reason="the embedded weights apps/nodule/weights/compact.safetensors are not there yet",
)
def test_a_real_chest_ct_takes_a_minute_and_three_gigabytes(real_data: Path, tmp_path: Path) -> None:
    """LIDC-IDRI-0063, 133 slices, from a folder of DICOM files to all outputs, on the CPU."""
    source = real_data / "ct" / "lidc-0063" / "dicom"
    began = time.monotonic()
    done = command(
        tmp_path, "-c", WATCHED, "stage=infer", f"input={source}", "output=out", "model.device=cpu",
        "run_dir=run",
    )  # fmt: skip
    seconds = time.monotonic() - began
    peak_gb = int((tmp_path / "peak").read_text()) * 1024 / 1e9
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with (tmp_path / "out" / "summary.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["status"], row["reason"]) == ("accepted", "ct_series")
    folder = tmp_path / "out" / row["series"]
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    findings = json.loads((folder / "report.json").read_text())["number_of_findings"]
    wanted = FOUND_IN_EACH | ({"seg.dcm", "sc/01.dcm"} if findings else set())
    assert files >= wanted
    assert int(row["findings"]) == findings
    assert seconds < 60
    assert peak_gb < 3
    matched, _ = evaluate(
        read_predictions(folder / "nodules.csv"),
        read_annotations(source.parent / "annotations.csv"),
        read_annotations(source.parent / "annotations_excluded.csv"),
        (row["series"],),
    )
    assert len(matched.nodule_score_K) == 2
    assert matched.detected == 2
    assert len(matched.false_score_M) <= 8
    assert_valid(sorted(folder.rglob("*.dcm")))


def assert_valid(paths: list[Path]) -> None:
    """No error from dciodvfy (Debian package dicom3tools)."""
    assert paths
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian package dicom3tools) is not installed")
    for path in paths:
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert lines
        assert not [line for line in lines if line.startswith(("Error", "Abort"))], path.name
