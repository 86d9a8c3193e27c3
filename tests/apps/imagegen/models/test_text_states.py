"""States of texts that are kept: those asked for lately, at most so many bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from apps.imagegen.models.pipeline_folder import load_pipeline
from apps.imagegen.models.text_states import TextStates
from tests.apps.imagegen.tiny import TOKENS, WIDTH, tiny_pipeline


def test_what_is_kept_is_what_was_read_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = load_pipeline(tiny_pipeline(tmp_path / "model"))
    one = TOKENS * WIDTH * 4
    texts = TextStates(pipeline, most_bytes=3 * one)
    first = texts.states("cat", 1)
    assert torch.equal(first, pipeline.states(["cat"]))
    assert texts.states("cat", 1) is first
    assert texts.states("cat", 1, ("adapter",)) is not first, "another text encoder"
    assert texts.states("cat", 2).shape == (1, 2 * TOKENS, WIDTH)
    assert texts.held() <= 3 * one
    assert texts.states("cat", 1) is not first, "it was the oldest"
    assert texts.states("car", 9).nbytes == 9 * one
    assert texts.held() == 9 * one, "the one in use stays, whatever it takes"
