"""stage=plan as typed: the largest size in 30 s and 2 GB, beside what torch's own tracker measured.

The other sizes take less; tests/apps/risk/test_plan.py has each one's parameters and command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs the command as a child and tells what it took, since wait4 knows one child alone.
MEASURED = """
import json, resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "pipelines.risk", *sys.argv[1:]], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
kilo = 1024 if sys.platform == "darwin" else 1
print(json.dumps([done.returncode, done.stdout, done.stderr, used.ru_utime + used.ru_stime, used.ru_maxrss // kilo]))
"""

pytestmark = pytest.mark.e2e


def plan(folder: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """Return the terminal's text and plan.json; the command stays within what the user was promised."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "stage=plan", f"output={folder / 'out'}", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=True,
    )
    code, shown, said, seconds, kilobytes = json.loads(done.stdout)
    assert (code, said) == (0, "")
    assert seconds <= 30.0  # of processor time: the machine may have other work
    assert kilobytes <= 2_000_000
    return shown, json.loads((folder / "out" / "plan.json").read_text())


def test_ten_billion_on_eight_gpus(tmp_path: Path) -> None:
    """Compare with torch's FSDPMemTracker, 47 s on this size with torch 2.13: 12,245.23 MiB without the optimizer.

    The mesh was made outside FakeTensorMode, ranks were a fake process group, blocks checkpointed and sharded one
    by one with param_dtype bf16 and reduce_dtype fp32, 8 series of 256 + 10 steps a rank.
    """
    shown, figures = plan(tmp_path, "model=10b", "plan.ranks=8")
    assert figures["size"] == "10b"
    assert "riskformer 10b: 10,220,870,993 parameters\n" in shown
    assert figures["launch"] in shown
    assert [path.name for path in (tmp_path / "runs" / "risk" / "plan").glob("*/metrics.json")] == [
        "metrics.json"
    ]
    assert figures["parameters"] == 10_220_870_993
    gib = figures["gib_per_rank"]
    ours = gib["weights"] + gib["gradients"] + gib["gathered"] + gib["activations"]
    assert 12_245.23 <= ours * 1024 <= 1.05 * 12_245.23
    # 16 bytes a weight over 8 ranks
    assert gib["weights"] + gib["gradients"] + gib["optimizer"] == pytest.approx(
        16 * 10_220_870_993 / 8 / 2**30, rel=1e-4
    )
    assert figures["fits"] is True


def test_ten_billion_on_one_gpu(tmp_path: Path) -> None:
    """With bf16 moments and gradients used up at once: 6 bytes a weight, 57.1 GiB, and little beside it."""
    words = ["plan.ranks=1", "plan.strategy=single", "plan.optimizer=adamw_bf16_in_backward"]
    shown, figures = plan(tmp_path, "model=10b", *words)
    assert 6 * 10_220_870_993 / 2**30 < figures["gib_per_rank"]["total"] < 62.6
    assert "left: it fits" in shown
    assert figures["launch_fits"] is False
    assert "as launched it takes at least 190.38 GiB a rank, which does not fit" in shown  # 20 bytes a weight
