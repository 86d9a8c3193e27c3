"""What is written once in the core is not written again: each duty has one home."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for top in ("core", "apps", "pipelines")
    for path in sorted((ROOT / top).rglob("*.py"))
}
# Duty → what gives it away in code, and the files that have the duty.
DUTIES = {
    "the valid name nearest to one that is not": (r"get_close_matches", {"core/text/nearest.py"}),
    "the choice of a device": (
        r"torch\.device\([^)]*is_available|model\.device=cuda",
        {"core/compute/reasons.py"},
    ),
    "the frames of an error": (r"extract_tb|format_tb|format_exc|print_exc", {"core/errors.py"}),
    "a user's own state folder": (r"platformdirs|environ[^\n]*XDG_", {"core/runs/state.py"}),
    "the folder of inputs that were set aside": (r"(/|FOLDER =) \"quarantine\"", {"core/runs/quarantine.py"}),
    "a user's value in a message": (r"ascii\([^)]*\)\[", {"core/text/quoting.py"}),
    "a share of a trainer's steps": (r"round\([^)]*max_steps", {"core/training/config.py"}),
    "a figure as people read it, with its minus sign and its dash": (
        r"\\N\{MINUS SIGN\}|\"\\N\{EN DASH\}\"|def (percent|interval|bounds)\(",
        {"core/text/figures.py"},
    ),
    "the columns of a progress bar": (r"\bBarColumn\b", {"core/terminal/progress.py"}),
}
# A branch on the wording of a sentence, or on how a code begins.
WORDING = r"\b(code|sentence)\.(startswith|endswith|find|partition)\(|\bin \w+\.sentence\b"


def _holding(pattern: str) -> set[str]:
    return {path for path, text in SOURCES.items() if re.search(pattern, text)}


@pytest.mark.parametrize("duty", DUTIES)
def test_each_duty_has_one_home(duty: str) -> None:
    pattern, homes = DUTIES[duty]
    holding = _holding(pattern)
    assert homes <= holding, "the pattern no longer meets its own home"
    assert holding - homes == set()


def test_no_code_branches_on_the_wording_of_a_reason() -> None:
    assert re.search(WORDING, 'if error.sentence.startswith("the mask"):')
    assert _holding(WORDING) == set()
