"""What the scorer (models/scorer.py) learns from: pictures as it sees them, some altered, and texts as it reads them.

Legend: N pictures, V views of them, H rows, W columns, C channels, F what is seen, K texts, M all texts, D of their
means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from apps.imagegen.data.captions import Caption
from apps.imagegen.data.pictures import Picture, PictureSet
from apps.imagegen.models.inception import Inception
from apps.imagegen.models.text import WIDTH as READ
from core.runs.arrays import read_arrays, write_arrays
from core.terminal.progress import progress

SEEN = 288 + 768 + 2048
EDGE = 128
_DEPTHS = (9, 14, 17)  # blocks of Inception, the last of each resolution
_BATCH = 32
_VIEWS = 3  # altered views of each plain picture; those in another colour are seen once, altered
_CAPTIONS = {True: 4, False: 2}  # the most frequent ones of a plain picture, and of one in another colour
_IN_COLOUR = 0.3  # weight of a view in another colour


@torch.inference_mode()
def seen(inception: Inception, rgb_NHWC: np.ndarray) -> Tensor:
    """Return means over three depths of the network of uint8 pictures, (N, F) float32.

    At EDGE × EDGE pixels and in bfloat16: a tenth of the time that features for KID take, and as good for this.
    """
    parts = []
    for part_NHWC in torch.as_tensor(rgb_NHWC).split(_BATCH):
        x_NCHW = part_NHWC.permute(0, 3, 1, 2).float() / 255.0
        if x_NCHW.shape[2:] != (EDGE, EDGE):
            x_NCHW = F.interpolate(x_NCHW, size=(EDGE, EDGE), mode="bilinear", antialias=True)
        x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        means = []
        with torch.autocast("cpu", torch.bfloat16):
            for depth, block in enumerate(inception.trunk):
                x_NCHW = block(x_NCHW)
                if depth in _DEPTHS:
                    means.append(x_NCHW.float().mean(dim=(2, 3)))
        parts.append(torch.cat(means, dim=1))
    return torch.cat(parts)


@torch.inference_mode()
def read(tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel, texts: Sequence[str]) -> Tensor:
    """Return the mean of the states of each text's tokens, (K, D) float32."""
    order = np.argsort([len(text) for text in texts], kind="stable")  # batches of like length: little padding
    mean_KD = torch.empty(len(texts), READ)
    for first in range(0, len(order), 256):
        chosen = order[first : first + 256]
        tokens = tokenizer(
            [texts[index] for index in chosen], padding=True, truncation=True, return_tensors="pt"
        )
        state_KTD = encoder(tokens.input_ids, attention_mask=tokens.attention_mask)[0]
        mask_KT1 = tokens.attention_mask[..., None].float()
        mean_KD[torch.from_numpy(chosen)] = (state_KTD * mask_KT1).sum(dim=1) / mask_KT1.sum(dim=1)
    return mean_KD


def altered(rgb_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a picture a little aside, larger or smaller, mirrored half of the time, and blurred two times of three.

    rgb_HWC: uint8, as high as wide; the result has its shape, white where nothing was.
    """
    picture, edge = Image.fromarray(rgb_HWC), rgb_HWC.shape[0]
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    step = 1.0 / rng.uniform(0.8, 1.1)
    right, down = rng.uniform(-0.06, 0.06, size=2) * edge
    back = edge / 2.0 * (1.0 - step)  # the middle stays in the middle
    picture = picture.transform(
        (edge, edge),
        Image.Transform.AFFINE,
        (step, 0.0, back + right, 0.0, step, back + down),
        Image.Resampling.BILINEAR,
        fillcolor=(255, 255, 255),
    )
    if rng.random() < 2.0 / 3.0:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 2.2)))
    return np.asarray(picture)


@dataclass(frozen=True, eq=False)
class Samples:
    """Views (V, F) float16 with the number of their picture, and what may be said of it."""

    seen_VF: np.ndarray
    picture_V: np.ndarray
    weight_V: np.ndarray  # summed up, 1 at the end
    read_MD: np.ndarray
    texts_by_picture: dict[int, tuple[np.ndarray, np.ndarray]]  # indices among M, and shares summed up

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
        """Draw a view, (F,), and one of its picture's texts, (D,), and return both with the number of the picture."""
        view = int(np.searchsorted(self.weight_V, rng.random(), side="right"))
        picture = int(self.picture_V[view])
        index_K, share_K = self.texts_by_picture[picture]
        text = int(index_K[np.searchsorted(share_K, rng.random(), side="right")])
        return self.seen_VF[view], self.read_MD[text], picture


def samples_of(
    pictures: PictureSet,
    see: Callable[[np.ndarray], Tensor],
    read_texts: Callable[[Sequence[str]], Tensor],
    kept: Path,
    seed: int,
) -> Samples:
    """Return the samples of pictures.

    see: pictures (N, H, W, C) uint8 → (N, F). read_texts: K texts → (K, D). kept: file of what was seen of all views,
    made once: a training may be cut off.
    """
    views = list(_views(pictures.pictures))
    arrays = read_arrays(kept)
    if arrays is None:
        arrays = {"seen": _seen_of_views(pictures.rgb_NHWC, views, see, np.random.default_rng(seed))}
        write_arrays(kept, arrays)
    captions = {index: _most_frequent(pictures.pictures[index]) for index, _ in views}
    texts = sorted({caption.text for few in captions.values() for caption in few})
    index_by_text = {text: index for index, text in enumerate(texts)}
    weight_V = np.cumsum([1.0 if pictures.pictures[index].plain else _IN_COLOUR for index, _ in views])
    return Samples(
        seen_VF=arrays["seen"],
        picture_V=np.array([index for index, _ in views]),
        weight_V=weight_V / weight_V[-1],
        read_MD=read_texts(texts).numpy(),
        texts_by_picture={
            index: (np.array([index_by_text[caption.text] for caption in few]), _shares(few))
            for index, few in captions.items()
        },
    )


def _seen_of_views(
    rgb_NHWC: np.ndarray,
    views: Sequence[tuple[int, bool]],
    see: Callable[[np.ndarray], Tensor],
    rng: np.random.Generator,
) -> np.ndarray:
    batches = [views[first : first + _BATCH] for first in range(0, len(views), _BATCH)]
    parts = []
    for batch in progress(batches, "features of pictures"):
        shown = [altered(rgb_NHWC[index], rng) if change else rgb_NHWC[index] for index, change in batch]
        parts.append(see(np.stack(shown)).half().numpy())
    return np.concatenate(parts)


def _views(pictures: Sequence[Picture]) -> Iterator[tuple[int, bool]]:
    """Yield the number of a picture, and whether it is altered; skin tones do not change what a picture shows."""
    for index, picture in enumerate(pictures):
        if picture.plain:
            yield from [(index, False), *[(index, True)] * _VIEWS]
        elif "+" in picture.code:
            yield index, True


def _most_frequent(picture: Picture) -> list[Caption]:
    by_share = sorted(picture.captions, key=lambda caption: -caption.share)
    return by_share[: _CAPTIONS[picture.plain]]


def _shares(captions: Sequence[Caption]) -> np.ndarray:
    share_K = np.cumsum([caption.share for caption in captions])
    return share_K / share_K[-1]
