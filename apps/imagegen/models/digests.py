"""What says that two pipelines are the same, whichever files and precision their weights came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.training.digests import weights_digest

_UNUSED = ("pooler.",)  # of a text encoder: made of its states, which alone are used


def pipeline_digest(
    tokenizer: PreTrainedTokenizerBase,
    text_encoder: PreTrainedModel,
    unet: nn.Module,
    vae: nn.Module,
    noise: Mapping[str, Any],
) -> str:
    """Return the SHA-256 of all that decides what a pipeline draws. noise: its scheduler's settings.

    A folder and its export have the same one; notes of the library that saved it (underscored settings) do not count.
    """
    seen = {name: one for name, one in text_encoder.state_dict().items() if not name.startswith(_UNUSED)}
    described = {
        "noise": {name: value for name, value in noise.items() if not name.startswith("_")},
        "text_encoder": weights_digest(seen),
        "tokens": [tokenizer.model_max_length, sorted(tokenizer.get_vocab().items())],
        "unet": weights_digest(unet.state_dict()),
        "vae": weights_digest(vae.state_dict()),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
