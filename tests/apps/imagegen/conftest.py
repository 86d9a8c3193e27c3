"""What the tests of the image app share: the proof of a pipeline's batches, which each engine begins with."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from apps.imagegen.models import self_test
from apps.imagegen.models.pipeline_folder import Pipeline

_prove = self_test.prove
_proven: dict[tuple[object, ...], tuple[int, ...]] = {}


def _proven_once(
    pipeline: Pipeline, sizes: Sequence[int], picture: tuple[int, int] | None
) -> tuple[int, ...]:
    key = (
        pipeline.digest,
        pipeline.runtime,
        tuple(pipeline.networks),
        tuple(sizes),
        picture,
        torch.get_num_threads(),
    )
    if key not in _proven:
        _proven[key] = _prove(pipeline, sizes, picture)
    return _proven[key]


@pytest.fixture(autouse=True)
def proofs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove the batches of equal pipelines once; test_self_test.py calls the proof itself."""
    monkeypatch.setattr(self_test, "prove", _proven_once)
