from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.imagegen.data.captions import Caption
from apps.imagegen.data.pictures import Picture, PictureSet
from apps.imagegen.data.training_samples import Captioned, captioned, crops_of, texts_of

PICTURES = (
    Picture(
        "A", "apple", "apple", "train", 3.0, (Caption("apple", 0.75), Caption("fruit", 0.25)), plain=True
    ),
    Picture("A+blue", "apple", "apple", "train", 1.0, (Caption("blue apple", 1.0),), plain=False),
)


@pytest.fixture
def samples() -> Captioned:
    state_MTD = np.arange(4, dtype=np.float16)[:, None, None] * np.ones((4, 2, 3), dtype=np.float16)
    latent_NLhw = np.stack([np.full((1, 2, 2), n, dtype=np.float32) for n in (10.0, 20.0)])
    return captioned(PICTURES, latent_NLhw, state_MTD)


def test_the_empty_text_comes_first() -> None:
    assert texts_of(PICTURES) == ["", "apple", "blue apple", "fruit"]


def test_samples_come_by_weight_and_share(samples: Captioned) -> None:
    drawn = [samples.draw(np.random.default_rng([1, n])) for n in range(4000)]
    first = np.array([latent[0, 0, 0] == 10.0 for latent, _ in drawn])
    text = np.array([state[0, 0] for _, state in drawn])
    assert first.mean() == pytest.approx(0.75, abs=0.03)
    assert (text == 0).mean() == pytest.approx(0.1, abs=0.02)
    worded = text > 0
    assert (text[first & worded] == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert set(text[first & worded]) == {1.0, 3.0}
    assert set(text[~first & worded]) == {2.0}


def test_a_sample_depends_on_its_generator_alone(samples: Captioned) -> None:
    once, again = (samples.draw(np.random.default_rng(5)) for _ in range(2))
    assert all((a == b).all() for a, b in zip(once, again, strict=True))


def test_crops_lie_inside_the_picture_and_show_both_kinds(tmp_path: Path) -> None:
    rgb_NHWC = np.zeros((2, 12, 12, 3), dtype=np.uint8)
    rgb_NHWC[0, :, :, 0], rgb_NHWC[1, :, :, 0] = np.arange(12), 100 + np.arange(12)
    make = crops_of(PictureSet(PICTURES, rgb_NHWC), edge=8)
    crops = np.stack([make(np.random.default_rng([2, n])) for n in range(600)])
    assert crops.shape == (600, 8, 8, 3)
    assert (crops[:, 0, 0, 0] >= 100).mean() == pytest.approx(0.3, abs=0.06)
    steps = np.diff(crops[:, 0, :, 0].astype(int), axis=1)
    assert set(steps.ravel()) == {1, -1}
    assert (steps[:, 0] == -1).mean() == pytest.approx(0.5, abs=0.07)
