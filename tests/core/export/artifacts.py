"""An artifact as a manifest describes it, without a file behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.export.manifest import Artifact, FileRecord
from core.export.ports import Axis, Port


def artifact(**changes: Any) -> Artifact:
    """The small network of tests/core/export/networks.py, with a scale beside the picture."""
    made = Artifact(
        network="blur",
        format="torchscript",
        precision="f32",
        files=(FileRecord("torchscript/blur.pt", "0" * 64),),
        bytes=1,
        inputs=(Port("x", ("B", 1, "H", "W"), low=-1.0, high=1.0), Port("scale", ("B",), "int64")),
        outputs=(Port("y", ("B", 2, "H", "W")),),
        axes=(Axis("B", 1, 8), Axis("H", 8, 64, 8), Axis("W", 8, 64, 8)),
        tolerance=1e-4,
        error=0.0,
        cases=(),
        milliseconds=1.0,
        eager_milliseconds=2.0,
        ratio=2.0,
        rows_independent=True,
        instructions=(),
        versions={},
        metrics={},
        rows="B",
    )
    return replace(made, **changes)
