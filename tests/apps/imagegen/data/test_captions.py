from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.imagegen.data.captions import captions_in_colour, captions_of, plain_name

WORDS = st.text("abc' -é", min_size=1, max_size=12).filter(lambda text: bool(text.strip()))


@given(name=WORDS, tags=st.lists(WORDS, max_size=8), colour=st.sampled_from([None, "red", "blue"]))
def test_shares_sum_to_one_and_no_text_comes_twice(name: str, tags: list[str], colour: str | None) -> None:
    result = captions_of(name, tags, colour, np.random.default_rng(0))
    assert sum(caption.share for caption in result) == pytest.approx(1.0)
    assert len({caption.text for caption in result}) == len(result) >= 2


def test_the_name_comes_most_often() -> None:
    result = captions_of("apple", ["fruit", "ripe"], "red", np.random.default_rng(0))
    assert max(result, key=lambda caption: caption.share).text == "apple"
    texts = {caption.text for caption in result}
    assert {"an apple", "red apple", "a red apple"} <= texts


def test_a_name_with_its_colour_gets_no_second_one() -> None:
    texts = [caption.text for caption in captions_of("red apple", [], "red", np.random.default_rng(0))]
    assert texts == ["red apple", "a red apple"]


def test_another_colour_replaces_that_of_the_name_and_of_the_tags() -> None:
    texts = [caption.text for caption in captions_in_colour("red apple", ["red", "fruit"], "blue")]
    assert texts == ["blue apple", "a blue apple", "blue fruit"]


def test_names_are_as_a_person_types_them() -> None:
    assert plain_name("waving hand: dark  skin tone") == "waving hand, dark skin tone"
    assert plain_name("woman’s hat") == "woman's hat"
