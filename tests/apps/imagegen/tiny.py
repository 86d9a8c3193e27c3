"""Pipelines too small to draw anything, but of the very classes and layout of real ones: for tests.

`tiny_pipeline` is the embedded model in small, `tiny_sd15` a folder as Stable Diffusion 1.5 was published.
Weights are random, of a fixed seed. Each folder takes about 1 MB and less than a second.
"""

from __future__ import annotations

import json
import string
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, BertTokenizer, CLIPTextConfig, CLIPTextModel

WIDTH = 32  # of a token's state
TOKENS = 16
WORDS = ("red", "blue", "apple", "car", "cat", "face", "pizza", "heart", "a", "of", "photo", "style")
_LETTERS = tuple(string.ascii_lowercase + string.digits + string.punctuation)


def tiny_pipeline(folder: Path, *, edge: int = 32, seed: int = 0) -> Path:
    """Write a pipeline of our own class set, a text encoder inside, and return its folder. edge: in pixels."""
    torch.manual_seed(seed)
    _vae(8, edge, 1.0).save_pretrained(folder / "vae")
    _unet(8, edge).save_pretrained(folder / "unet")
    _bert(folder)
    DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        timestep_spacing="trailing",
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    _index(folder, scheduler="DDIMScheduler", text_encoder="BertModel", tokenizer="BertTokenizer")
    return folder


def tiny_sd15(folder: Path, *, edge: int = 32, seed: int = 0) -> Path:
    """Write a pipeline of Stable Diffusion 1.5's class set and layout, and return its folder. edge: in pixels."""
    torch.manual_seed(seed)
    _vae(4, edge, 0.18215).save_pretrained(folder / "vae")
    _unet(4, edge).save_pretrained(folder / "unet")
    _clip(folder)
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    _index(folder, scheduler="PNDMScheduler", text_encoder="CLIPTextModel", tokenizer="CLIPTokenizer")
    return folder


def _vae(channels: int, edge: int, scaling_factor: float) -> AutoencoderKL:
    net = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=edge,
        scaling_factor=scaling_factor,
    )
    with torch.no_grad():
        net.decoder.conv_out.weight.mul_(3.0)  # pictures of some contrast, so that differences show in bytes
    return net


def _unet(channels: int, edge: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=edge // 8,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def _bert(folder: Path) -> None:
    pieces = (
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *_LETTERS,
        *(f"##{one}" for one in _LETTERS),
    )
    words = list(dict.fromkeys(pieces))
    vocab = {word: index for index, word in enumerate(words)}
    BertTokenizer(vocab=vocab, model_max_length=TOKENS).save_pretrained(folder / "tokenizer")
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=TOKENS,
    )
    config.use_attention_mask = True
    BertModel(config, add_pooling_layer=False).save_pretrained(folder / "text_encoder")


def _clip(folder: Path) -> None:
    letters = [*_LETTERS, *(f"{one}</w>" for one in _LETTERS)]
    merges = [("a", "p"), ("ap", "p"), ("l", "e</w>"), ("app", "le</w>"), ("r", "e"), ("re", "d</w>")]
    words = dict.fromkeys([*letters, *("".join(pair) for pair in merges), "<|startoftext|>", "<|endoftext|>"])
    vocab = {word: index for index, word in enumerate(words)}
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    _json(tokenizer / "vocab.json", vocab)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (tokenizer / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    _json(tokenizer / "special_tokens_map.json", {**special, "pad_token": "<|endoftext|>"})
    settings = {**special, "pad_token": "<|endoftext|>", "do_lower_case": True, "model_max_length": TOKENS}
    _json(tokenizer / "tokenizer_config.json", {**settings, "tokenizer_class": "CLIPTokenizer"})
    config = CLIPTextConfig(
        vocab_size=len(vocab),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=vocab["<|startoftext|>"],
        eos_token_id=vocab["<|endoftext|>"],
        pad_token_id=1,
    )
    encoder = folder / "text_encoder"
    CLIPTextModel(config).save_pretrained(encoder)
    _name_as_published(encoder / "model.safetensors")


def _name_as_published(path: Path) -> None:
    """Give the weights the names that the published file has, whatever the installed library writes."""
    weights = {f"text_model.{name.removeprefix('text_model.')}": one for name, one in load_file(path).items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    save_file(weights, path, metadata={"format": "pt"})


def _index(folder: Path, *, scheduler: str, text_encoder: str, tokenizer: str) -> None:
    content = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.30.0",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", text_encoder],
        "tokenizer": ["transformers", tokenizer],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    _json(folder / "model_index.json", content)


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
