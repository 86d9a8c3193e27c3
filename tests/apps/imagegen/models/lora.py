"""Adapters made for tests: random, but of the right shapes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from apps.imagegen.models.adapter_file import Update, write_adapter

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that these adapters change: of attention, and the first convolution of each block."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d)) and name.endswith((*ATTENTION, "resnets.0.conv1"))
    }


def updates(network: nn.Module, seed: int, rank: int = 2, strength: float = 0.3) -> dict[str, Update]:
    """Return random updates of a network."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name, module in modules(network).items():
        shape = module.weight.shape
        down = torch.randn((rank, *shape[1:]), generator=generator) * strength
        up = torch.randn((shape[0], rank, *(1 for _ in shape[2:])), generator=generator) * strength
        result[name] = Update(down.half().float(), up.half().float(), rank)
    return result


def write(path: Path, network: nn.Module, seed: int, **result: str) -> Path:
    """Write a random adapter of a network and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write_adapter(updates(network, seed), result))
    return path


def write_peft(folder: Path, network: nn.Module, seed: int, alpha: int) -> Path:
    """Write the same random adapter as peft's save_pretrained does, and return its folder."""
    folder.mkdir(parents=True)
    tensors = {}
    for name, one in updates(network, seed).items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = one.down.contiguous()
        tensors[f"base_model.model.{name}.lora_B.weight"] = one.up.contiguous()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": alpha, "use_rslora": False, "alpha_pattern": {}}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    return folder
