from __future__ import annotations

import pytest
import torch
from torch import Tensor

from apps.imagegen.models import self_test
from apps.imagegen.models.pipeline_folder import Pipeline, load_pipeline
from apps.imagegen.models.self_test import SIZES, most_alike, prove
from tests.apps.imagegen.tiny import tiny_pipeline


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return load_pipeline(tiny_pipeline(tmp_path_factory.mktemp("tiny") / "ours"))


def pretend(
    monkeypatch: pytest.MonkeyPatch, spoil: Tensor | None, sizes: tuple[int, ...] = (), **more: bool
) -> list[int]:
    """Let the U-Net answer its rows' own latents, but with an error where the batch is of one of `sizes`."""
    asked: list[int] = []

    def answer(_: object, input_RLhw: Tensor, time_R: Tensor, state_RTD: Tensor) -> Tensor:
        asked.append(len(input_RLhw))
        assert len(time_R) == len(state_RTD) == len(input_RLhw)
        result = input_RLhw.clone()
        if len(result) in sizes and spoil is not None:
            result += spoil
        if more.get("by_position"):
            result += torch.arange(len(result))[:, None, None, None] * 1e-6
        if more.get("by_neighbours"):
            result += result.mean() * 1e-3
        return result

    monkeypatch.setattr(self_test, "answer", answer)
    return asked


def test_what_is_proven_holds_for_the_pipeline(pipeline: Pipeline) -> None:
    result = prove(pipeline)
    assert result
    assert set(result) <= set(SIZES)
    assert list(result) == sorted(result)


def test_batches_that_are_alike_are_all_taken(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend(monkeypatch, None)
    assert prove(pipeline) == (4, 8, 16)
    assert asked == [4, 4, 8, 8, 16, 16], "each size twice, with rows at other positions the second time"
    assert prove(pipeline, (4, 8), picture=(48, 32)) == (4, 8)


@pytest.mark.parametrize(
    ("other", "alike"),
    [((4,), (8, 16)), ((16,), (4, 8)), ((8,), (4, 16)), ((4, 8), (4, 8)), ((4, 8, 16), (4, 8, 16))],
)
def test_the_least_bit_of_difference_counts(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, other: tuple[int, ...], alike: tuple[int, ...]
) -> None:
    pretend(monkeypatch, torch.tensor(1e-6), other)
    assert prove(pipeline) == alike


@pytest.mark.parametrize("how", ["by_position", "by_neighbours"])
def test_rows_that_depend_on_others_or_on_their_place_prove_nothing(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pretend(monkeypatch, None, **{how: True})
    assert prove(pipeline) == ()


def test_of_groups_the_largest_is_taken_and_then_the_one_of_more_rows() -> None:
    rows = torch.randn((16, 2))
    assert most_alike({4: rows[:4], 8: rows[:8] + 1, 16: rows}) == (4, 16)
    assert most_alike({4: rows[:4], 8: rows[:8] + 1, 16: rows + 2}) == (16,)
    assert most_alike({}) == ()
