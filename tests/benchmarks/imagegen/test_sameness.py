"""That the measurement counts what is the same, and sees what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from apps.imagegen.models.pipeline_folder import Pipeline
from benchmarks.imagegen import sameness
from benchmarks.imagegen.sameness import Request, run
from core.errors import InputError
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_pipeline(tmp_path_factory.mktemp("model") / "tiny"))


def test_images_are_the_same_under_every_load(model: str) -> None:
    result = run(model, requests="4")
    assert (result["same"], result["requests"], result["different_images"]) == (4, 4, 4)
    assert result["headline"] == {"images with the same bytes under every load": "4 of 4"}


def test_one_that_differs_under_a_load_is_seen(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def digests(_: Pipeline, requests: Sequence[Request], concurrency: int) -> list[str]:
        result = [str(recipe.seed) for recipe, _ in requests]
        return result if concurrency < 16 else ["other", *result[1:]]

    monkeypatch.setattr(sameness, "digests_at", digests)
    assert run(model, requests="10")["same"] == 9


def test_a_count_that_is_none_is_refused(model: str) -> None:
    with pytest.raises(InputError, match="requests is 'many', wanted a whole number"):
        run(model, requests="many")
