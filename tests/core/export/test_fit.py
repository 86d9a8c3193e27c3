from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InputError
from core.export.fit import require_fit, runs_here
from tests.core.export.artifacts import artifact


def test_what_needs_no_package_runs_here() -> None:
    assert runs_here(artifact())
    assert not runs_here(artifact(format="triton")), "no runtime of ours"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"instructions": ("avx1024",)}, "was compiled for avx1024, which this processor lacks"),
        ({"versions": {"torch": "1.0"}}, r"was made with torch 1\.0; it runs with that version"),
    ],
)
def test_code_of_another_processor_or_pytorch_is_refused(changes: dict[str, object], sentence: str) -> None:
    compiled = artifact(format="aotinductor", **changes)
    with pytest.raises(InputError, match=sentence):
        require_fit(compiled, Path("folder"))
    assert not runs_here(compiled)
