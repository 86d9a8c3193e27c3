"""What the scorer is shown: views by weight, captions by share, altered pictures that stay what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from apps.imagegen.data.captions import Caption
from apps.imagegen.data.pictures import TRAIN, Picture, PictureSet
from apps.imagegen.models.inception import Inception
from apps.imagegen.models.scorer_samples import EDGE, SEEN, altered, read, samples_of, seen
from apps.imagegen.models.text import WIDTH, load_text_encoder


def pictures_made() -> PictureSet:
    captions = tuple(
        Caption(text, share) for text, share in (("a", 0.1), ("b", 0.4), ("c", 0.2), ("d", 0.2), ("e", 0.1))
    )
    made = [
        Picture("1", "plain", "one", TRAIN, 1.0, captions, plain=True),
        Picture("1+red", "in red", "one", TRAIN, 1.0, captions, plain=False),
        Picture("1-1F3FF", "a skin tone", "one", TRAIN, 1.0, captions, plain=False),
    ]
    rgb_NHWC = np.stack([np.full((EDGE, EDGE, 3), shade, dtype=np.uint8) for shade in (10, 90, 170)])
    return PictureSet(tuple(made), rgb_NHWC)


def test_samples_come_by_weight_and_share(tmp_path: Path) -> None:
    batches = []

    def shade(rgb_NHWC: np.ndarray) -> Tensor:
        batches.append(len(rgb_NHWC))
        return torch.from_numpy(rgb_NHWC[:, EDGE // 2, EDGE // 2, :1].astype(np.float32))

    def letters(texts: Sequence[str]) -> Tensor:
        return torch.tensor([[ord(text)] for text in texts])

    made = [samples_of(pictures_made(), shade, letters, tmp_path / "seen.npz", 0) for _ in range(2)]
    assert sum(batches) == 5, "kept: a plain picture and three altered views, one in another colour"
    assert made[0].seen_VF[:, 0].tolist() == [10, 10, 10, 10, 90]
    assert made[0].picture_V.tolist() == [0, 0, 0, 0, 1]
    rng = np.random.default_rng(0)
    drawn = [made[1].draw(rng) for _ in range(4000)]
    of_colour = [chr(int(read_D[0])) for _, read_D, picture in drawn if picture == 1]
    # one view of weight 0.3 beside four of 1, and its two most frequent captions
    assert len(of_colour) / len(drawn) == pytest.approx(0.3 / 4.3, abs=0.012)
    assert set(of_colour) == {"b", "c"}
    of_plain = Counter(chr(int(read_D[0])) for _, read_D, picture in drawn if picture == 0)
    assert sorted(of_plain) == ["a", "b", "c", "d"], "the four most frequent ones"
    assert of_plain["b"] / sum(of_plain.values()) == pytest.approx(0.4 / 0.9, abs=0.03)


def test_an_altered_picture_is_moved_on_white_and_keeps_its_middle() -> None:
    rgb_HWC = np.full((EDGE, EDGE, 3), 255, dtype=np.uint8)
    rgb_HWC[32:96, 32:96] = (200, 30, 30)
    rng = np.random.default_rng(0)
    views = [altered(rgb_HWC, rng) for _ in range(40)]
    assert len({view.tobytes() for view in views}) == 40
    for view in views:
        assert view.shape == rgb_HWC.shape
        assert view[64, 64].tolist() == [200, 30, 30]
        assert (view[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
        area = (view[..., 1] < 143).mean() / 0.25
        assert 0.8**2 - 0.05 < area < 1.1**2 + 0.05
    again = np.random.default_rng(0)
    assert altered(rgb_HWC, again).tobytes() == views[0].tobytes()


def test_three_depths_of_the_network_are_seen() -> None:
    """Untrained weights serve: widths, and that a picture's neighbours in a batch do not matter."""
    torch.manual_seed(0)
    net = Inception().eval()
    rgb_NHWC = np.random.default_rng(0).integers(0, 256, size=(2, EDGE, EDGE, 3), dtype=np.uint8)
    both, alone = seen(net, rgb_NHWC), seen(net, rgb_NHWC[1:])
    assert both.shape == (2, SEEN)
    torch.testing.assert_close(both[1:], alone, rtol=0.05, atol=0.05)
    assert seen(net, rgb_NHWC[:, :64]).shape == (2, SEEN)


def test_texts_are_read_alone_whatever_their_neighbours() -> None:
    tokenizer, encoder = load_text_encoder()
    texts = ["a very long text about a red apple on a wooden table", "apple", "", "red car"]
    read_KD = read(tokenizer, encoder, texts)
    assert read_KD.shape == (4, WIDTH)
    for index, text in enumerate(texts):
        torch.testing.assert_close(read_KD[index], read(tokenizer, encoder, [text])[0], rtol=1e-4, atol=1e-4)
    similar = torch.cosine_similarity(read_KD[1], read_KD[[0, 3]])
    assert similar[0] > similar[1], "an apple is nearer to an apple than to a car"
