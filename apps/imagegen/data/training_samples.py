"""Training samples of both networks: crops of pictures, and latents with the states of a caption.

Legend: N pictures, M texts, E edge of a crop, L latent channels, h, w of latents, T tokens, D of their states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.imagegen.data.pictures import Picture, PictureSet

CROP = 64
_VARIANTS = 0.3  # share of crops that show a skin tone or another colour
_WORDLESS = 0.1  # share of samples without a caption, for guidance (Ho & Salimans 2022, arXiv:2207.12598)


def crops_of(pictures: PictureSet, edge: int = CROP) -> Callable[[np.random.Generator], np.ndarray]:
    """Return what draws a crop, (E, E, 3) uint8, mirrored half of the time."""
    plain_N = np.array([one.plain for one in pictures.pictures])
    groups = [np.flatnonzero(plain_N), np.flatnonzero(~plain_N)]
    positions = pictures.rgb_NHWC.shape[1] - edge + 1

    def make(rng: np.random.Generator) -> np.ndarray:
        group = groups[int(rng.random() < _VARIANTS and len(groups[1]) > 0)]
        rgb_HWC = pictures.rgb_NHWC[group[rng.integers(len(group))]]
        row, column = rng.integers(positions, size=2)
        crop = rgb_HWC[row : row + edge, column : column + edge]
        return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)

    return make


@dataclass(frozen=True, eq=False)
class Captioned:
    """Latents of pictures with the states of their captions, ready to draw samples from.

    latent_NLhw: float32. state_MTD: float16, the empty text first. pictures: N, texts by their index among M.
    """

    latent_NLhw: np.ndarray
    state_MTD: np.ndarray
    weight_N: np.ndarray
    texts_N: tuple[tuple[np.ndarray, np.ndarray], ...]

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw a picture by its weight and one of its captions by its share: (L, h, w) float32, (T, D) float16."""
        n = int(np.searchsorted(self.weight_N, rng.random(), side="right"))
        index_K, share_K = self.texts_N[n]
        text = int(index_K[np.searchsorted(share_K, rng.random(), side="right")])
        return self.latent_NLhw[n], self.state_MTD[0 if rng.random() < _WORDLESS else text]


def texts_of(pictures: tuple[Picture, ...]) -> list[str]:
    """Return the empty text, and then every caption once."""
    return ["", *sorted({caption.text for picture in pictures for caption in picture.captions})]


def captioned(pictures: tuple[Picture, ...], latent_NLhw: np.ndarray, state_MTD: np.ndarray) -> Captioned:
    """Put latents and the states of `texts_of(pictures)` together."""
    index_by_text = {text: index for index, text in enumerate(texts_of(pictures))}
    weight_N = np.cumsum([picture.weight for picture in pictures])
    weight_N /= weight_N[-1]
    weight_N[-1] = 1.0
    texts = []
    for picture in pictures:
        share_K = np.cumsum([caption.share for caption in picture.captions])
        share_K /= share_K[-1]
        share_K[-1] = 1.0
        texts.append((np.array([index_by_text[caption.text] for caption in picture.captions]), share_K))
    return Captioned(latent_NLhw, state_MTD, weight_N, tuple(texts))
