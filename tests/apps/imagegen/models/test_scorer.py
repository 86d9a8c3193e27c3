"""The scorer learns what goes together, is kept, and is trained anew where its pictures change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from apps.imagegen.data.captions import Caption
from apps.imagegen.data.pictures import TRAIN, Picture, PictureSet
from apps.imagegen.models import scorer
from apps.imagegen.models.scorer import Heads, load_scorer, matching_loss
from apps.imagegen.models.scorer_samples import EDGE, SEEN
from apps.imagegen.models.text import WIDTH as READ
from core.runs.log import RunLog
from core.training.config import TrainerConfig

NAMES = ("red", "green", "blue")
SHORT: dict[str, Any] = {
    "max_steps": 60,
    "batch_size": 8,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "ema_decay": 0.0,
}


class Eyes(nn.Module):
    """Sees mean colours where the real network has 3104 means: 18 blocks, the widths at three depths as there."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.AvgPool2d(16), *(Wide(wide) for wide in self._widths()))

    @staticmethod
    def _widths() -> Iterator[int]:
        yield from [3] * 8
        yield from [288, *[768] * 5, *[2048] * 3]


class Wide(nn.Module):
    """Repeats the channels until there are so many."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW.repeat(1, -(-self.channels // x_NCHW.shape[1]), 1, 1)[:, : self.channels]


def pictures_made() -> PictureSet:
    made = [Picture(name, name, name, TRAIN, 1.0, (Caption(name, 1.0),), plain=True) for name in NAMES]
    rgb_NHWC = np.zeros((3, EDGE, EDGE, 3), dtype=np.uint8)
    for n in range(3):
        rgb_NHWC[n, ..., n] = 255
    return PictureSet(tuple(made), rgb_NHWC)


def letters(tokenizer: Any, encoder: Any, texts: Sequence[str]) -> Tensor:
    """Read a text as the counts of its letters."""
    return torch.tensor(
        [[float(text.count(chr(97 + d))) if d < 26 else 0.0 for d in range(READ)] for text in texts]
    )


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "load_text_encoder", lambda: (None, None))
    monkeypatch.setattr(scorer, "read", letters)
    monkeypatch.setattr(scorer, "TRAINING", TrainerConfig(**SHORT))


def loaded(cache: Path, pictures: PictureSet, seed: int = 0) -> scorer.Scorer:
    with RunLog(cache / "log.jsonl") as log:
        return load_scorer(cache, pictures, Eyes(), log, seed)  # type: ignore[arg-type]


def test_it_learns_is_kept_and_is_trained_anew_for_other_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = pictures_made()
    first = loaded(tmp_path, pictures)
    score_NK = first.scores(pictures.rgb_NHWC[:, :64, :64], NAMES)  # of another size
    assert score_NK.shape == (3, 3)
    assert score_NK.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.abs(score_NK).max() <= 1.0 + 1e-6

    with monkeypatch.context() as patch:
        patch.setattr(scorer, "samples_of", None)  # what was trained is not trained again
        again = loaded(tmp_path, pictures)
    assert again.digest == first.digest
    np.testing.assert_array_equal(
        again.scores(pictures.rgb_NHWC, NAMES), first.scores(pictures.rgb_NHWC, NAMES)
    )

    changed = PictureSet(pictures.pictures, pictures.rgb_NHWC[::-1].copy())
    assert loaded(tmp_path, changed).scores(pictures.rgb_NHWC, NAMES).argmax(axis=1).tolist() == [2, 1, 0]
    assert len(list(tmp_path.glob("scorer-*"))) == 2


def test_the_loss_by_hand() -> None:
    heads = Heads().eval()
    seen_BF, read_BD = torch.randn(4, SEEN), torch.randn(4, READ)
    cosine_BB = heads(seen_BF, read_BD).double() * heads.sharpness.exp().double()
    own = cosine_BB.diagonal()
    by_hand = -0.5 * (own - cosine_BB.logsumexp(dim=1) + own - cosine_BB.logsumexp(dim=0)).mean()
    result = matching_loss(heads, seen_BF, read_BD, torch.arange(4))
    assert result.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_another_view_of_the_same_picture_is_no_wrong_answer() -> None:
    heads = Heads().eval()
    seen_BF, read_BD = torch.randn(2, SEEN), torch.randn(2, READ)
    assert matching_loss(heads, seen_BF, read_BD, torch.tensor([5, 5])).item() == pytest.approx(0.0, abs=1e-6)
    assert matching_loss(heads, seen_BF, read_BD, torch.tensor([5, 6])).item() > 0.01


def test_what_lies_far_from_anything_real_is_not_looked_at_closer() -> None:
    heads = Heads().eval()
    rng = np.random.default_rng(0)
    heads.learn_scale(rng.normal(2.0, 3.0, size=(500, SEEN)), rng.normal(-1.0, 0.5, size=(500, READ)))
    for name, mean, deviation in (("seen", 2.0, 3.0), ("read", -1.0, 0.5)):
        np.testing.assert_allclose(getattr(heads, f"{name}_mean").mean(), mean, atol=0.01)
        np.testing.assert_allclose(getattr(heads, f"{name}_deviation").mean(), deviation, atol=0.01)
    far_2F = torch.stack([torch.full((SEEN,), 100.0), torch.full((SEEN,), 1000.0)])
    score_2K = heads(far_2F, torch.randn(3, READ))
    torch.testing.assert_close(score_2K[0], score_2K[1])
