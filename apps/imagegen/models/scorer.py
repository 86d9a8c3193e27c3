"""A small scorer of pictures and texts, an instrument of evaluation: which of several prompts does a picture show?

What it sees of a picture are means over three depths of a frozen Inception-v3 (models/inception.py), what it reads are
MiniLM's sentence means, as they are; one linear map, which brings what is seen to what is read, is all that learns
(Radford et al. 2021, arXiv:2103.00020). It learns from real training pictures only, some of them shifted, scaled,
mirrored and blurred, since drawn pictures are soft: never from held-out ones, and never from drawn ones.
Of seven settings tried (depths, a hidden layer, a map of texts, dropout, decay) this one ranked most names of held-out
pictures first; what evaluate measures on held-out pictures is optimistic by that much.
Its weights are not shipped: whoever evaluates trains it once, in a few minutes, and keeps it below data.cache. Delete
`scorer-…` there to train it anew.
Legend: N pictures, V views, H rows, W columns, C channels, F what is seen, K texts, D of their means, B samples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from apps.imagegen.data.pictures import PictureSet, pictures_digest
from apps.imagegen.models.inception import Inception
from apps.imagegen.models.scorer_samples import SEEN, Samples, read, samples_of, seen
from apps.imagegen.models.text import WIDTH as READ
from apps.imagegen.models.text import load_text_encoder
from core.runs.log import RunLog
from core.runs.training import Checkpoints
from core.training.config import TrainerConfig
from core.training.fit import fit
from core.training.optimizer import optimizer_and_schedule
from core.training.resume import WEIGHTS, ended

VERSION = 2  # of how it is trained; a change of this file, or of its samples, counts it up
TRAINING = TrainerConfig(
    max_steps=400,
    batch_size=256,
    learning_rate=1e-3,
    weight_decay=0.3,
    warmup_steps=100,
    ema_decay=0.98,
    log_every_steps=100,
)


class Heads(nn.Module):
    """What learns: a linear map of what is seen to what is read, both in units of their spread."""

    def __init__(self) -> None:
        super().__init__()
        self.seen_mean: Tensor
        self.seen_deviation: Tensor
        self.read_mean: Tensor
        self.read_deviation: Tensor
        for name, width in (("seen", SEEN), ("read", READ)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_deviation", torch.ones(width))
        self.dropout, self.picture = nn.Dropout(0.5), nn.Linear(SEEN, READ)
        self.sharpness = nn.Parameter(torch.tensor(2.3))  # natural logarithm

    @torch.no_grad()
    def learn_scale(self, seen_VF: np.ndarray, read_KD: np.ndarray) -> None:
        """Take mean and spread of what is seen over all views, and of what is read over all texts."""
        for name, array in (("seen", seen_VF), ("read", read_KD)):
            values = torch.from_numpy(array.astype(np.float32))
            getattr(self, f"{name}_mean").copy_(values.mean(dim=0))
            getattr(self, f"{name}_deviation").copy_(values.std(dim=0) + 1e-3)

    def forward(self, seen_NF: Tensor, read_KD: Tensor) -> Tensor:
        """Return the cosine of each picture and each text, (N, K)."""
        # what is seen of a drawn picture may lie far from anything real
        seen_NF = ((seen_NF - self.seen_mean) / self.seen_deviation).clamp(-5.0, 5.0)
        read_KD = (read_KD - self.read_mean) / self.read_deviation
        return F.normalize(self.picture(self.dropout(seen_NF)), dim=1) @ F.normalize(read_KD, dim=1).T


class Matching(pl.LightningModule):
    """Training of the heads: of a batch's texts each picture finds its own, and each text its picture."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.heads = heads

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:  # noqa: ARG002, D102
        seen_BF, read_BD, picture_B = batch
        return matching_loss(self.heads, seen_BF.float(), read_BD, picture_B)

    def configure_optimizers(self) -> Any:  # noqa: D102
        return optimizer_and_schedule(self.parameters(), TRAINING)


def matching_loss(heads: Heads, seen_BF: Tensor, read_BD: Tensor, picture_B: Tensor) -> Tensor:
    """Return the mean cross-entropy of finding the own text and the own picture.

    picture_B: number of each sample's picture; other samples of the same picture are not wrong answers.
    """
    score_BB = heads(seen_BF, read_BD) * heads.sharpness.exp().clamp(max=100.0)
    own_B = torch.arange(len(picture_B), device=score_BB.device)
    same_BB = (picture_B[:, None] == picture_B[None]) & (own_B[:, None] != own_B[None])
    score_BB = score_BB.masked_fill(same_BB, -1e4)
    return 0.5 * (F.cross_entropy(score_BB, own_B) + F.cross_entropy(score_BB.T, own_B))


@dataclass(frozen=True, eq=False)
class Scorer:
    """The trained instrument. digest: SHA-256 of the weights that learnt."""

    heads: Heads
    inception: Inception
    tokenizer: PreTrainedTokenizerBase
    encoder: PreTrainedModel
    digest: str

    @torch.inference_mode()
    def scores(self, rgb_NHWC: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        """Return how well each text fits each uint8 picture of any size, (N, K) in −1 … 1."""
        seen_NF = seen(self.inception, rgb_NHWC)
        score_NK: np.ndarray = self.heads(seen_NF, read(self.tokenizer, self.encoder, texts)).numpy()
        return score_NK


def load_scorer(
    cache: Path, pictures: PictureSet, inception: Inception, log: RunLog, seed: int = 0
) -> Scorer:
    """Return the scorer kept below `cache`, trained first where none was trained on these pictures with this seed.

    pictures: training pictures alone. A training that was cut off goes on. Raises InputError as writing does.
    """
    tokenizer, encoder = load_text_encoder()
    folder = cache / f"scorer-{VERSION}-{pictures_digest(pictures, seed)}"
    torch.manual_seed(seed)
    module = Matching(Heads())
    source: Samples | None = None
    if ended(Checkpoints(folder), folder, module) is None:
        see, read_texts = partial(seen, inception), partial(read, tokenizer, encoder)
        source = samples_of(pictures, see, read_texts, folder / "seen.npz", seed)
        module.heads.learn_scale(source.seen_VF, source.read_MD)
    fit(module, source.draw if source else _no_sample, TRAINING, folder, log, seed)
    heads = module.heads.eval().requires_grad_(requires_grad=False)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Scorer(heads, inception, tokenizer, encoder, digest)


def _no_sample(rng: np.random.Generator) -> Any:
    raise AssertionError(f"a training that had ended asks for a sample from {rng}")
