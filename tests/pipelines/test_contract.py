"""The contract of the entry points, on the real command line: one case for each exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Runs the real entry point with verbs of the tests in place of the real stages.
SCRIPT = """
import sys
from apps.nodule.config import NoduleConfig
from core.cli.main import run_command
verb, *words = sys.argv[1:]
sys.exit(run_command("nodule", "nodule", NoduleConfig, {"train": f"tests.core.verbs:{verb}"}, words))
"""


def command(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("verb", "words", "code", "said"),
    [
        ("done", [], 0, ""),
        ("done", ["sed=1"], 2, 'triptych-nodule: unknown field "sed"; did you mean "seed"?\n'),
        ("bad_input", [], 2, "triptych-nodule: input does not exist\n"),
        ("broken", [], 3, "triptych-nodule: internal fault: KeyError at tests/core/verbs.py:"),
        ("quarantined", [], 4, ""),
    ],
)
def test_exit_codes(verb: str, words: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = command(tmp_path, "-c", SCRIPT, verb, "stage=train", *words)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == (1 if said else 0)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_config_leaves_nothing_behind(tmp_path: Path) -> None:
    done = command(tmp_path, "-m", "pipelines.nodule", "stage=train", "model=unet")
    assert done.returncode == 2
    assert done.stderr == (
        'triptych-nodule: unknown choice "model=unet"; did you mean "model=retinanet"? '
        "(choices: compact, retinanet)\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_command_works_from_any_folder(tmp_path: Path) -> None:
    done = command(
        tmp_path, "-m", "pipelines.nodule", "stage=infer", "input=a (1), b's", "output=${o}", "--cfg", "job"
    )
    assert done.returncode == 0
    assert "input: a (1), b's\noutput: ${o}\n" in done.stdout
    assert list(tmp_path.iterdir()) == []
