from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.networks import export_dense
from core.errors import InputError


def test_the_network_is_exported_whole(tmp_path: Path) -> None:
    artifact = export_dense(tmp_path / "out", 8, 16, 2, "torchscript")
    assert (artifact.rows, artifact.inputs[0].dims, artifact.outputs[0].dims) == ("B", ("B", 8), ("B", 8))
    assert artifact.error < 1e-4


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the application has no handler"):
        export_dense(tmp_path / "out", 8, 16, 2, "torchserve")
