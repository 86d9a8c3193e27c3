"""Adapters (LoRA, Hu et al. 2021, arXiv:2106.09685) as files: read with suspicion, matched to a model, written.

Read are safetensors in the forms of peft, diffusers (new and old) and kohya. Never a pickle.
Legend: I, O numbers that go into and come out of a module, R rank, K the sides of a convolution's window.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from apps.imagegen.reasons import ADAPTER
from core.text.quoting import in_quotes

SUFFIX = ".safetensors"
_PARAM = "adapter"
LARGEST_MB = 512.0
OURS = "triptych"  # the field of a file's header with its origin
_LENGTH = struct.Struct("<Q")  # a safetensors file starts with the length of its header
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_KEY = re.compile(
    r"(?P<path>.+?)(?:\.lora_(?P<letter>[AB])(?:\.\w+)?|[._]lora(?:_linear_layer)?[._](?P<word>down|up))\.weight",
    re.DOTALL,
)
_PEFT = "base_model.model."  # before each module's name where peft itself saved the file
_PARTS = {
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
}


@dataclass(frozen=True, eq=False)
class Update:
    """What an adapter adds to one module's weight: up · down · alpha / R.

    down: (R, I) or (R, I, K, K), up: (O, R) or (O, R, 1, 1).
    """

    down: Tensor
    up: Tensor
    alpha: float


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter that fits a model. updates: by network ("unet", "text_encoder") and module. metadata: of its header.

    note: a sentence on what its file left open, "" where it left nothing.
    """

    digest: str
    updates: dict[str, dict[str, Update]]
    metadata: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def size(self) -> int:
        """Return how many bytes its tensors take."""
        pairs = [one for part in self.updates.values() for one in part.values()]
        return sum(tensor.nbytes for one in pairs for tensor in (one.down, one.up))


def read_bytes(path: Path, largest_mb: float = LARGEST_MB) -> bytes:
    """Return a file's bytes.

    Raises AdapterError: adapter_missing, adapter_not_file, adapter_too_large, adapter_unreadable.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe of that name would block
        with os.fdopen(handle, "rb") as stream:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ADAPTER("adapter_not_file", param=_PARAM, name=path.name)
            size = status.st_size / 1e6
            if size > largest_mb:
                raise ADAPTER("adapter_too_large", param=_PARAM, name=path.name, size=size, most=largest_mb)
            return stream.read()
    except FileNotFoundError:
        raise ADAPTER("adapter_missing", param=_PARAM, path=path.name, suffix=SUFFIX) from None
    except OSError as error:
        raise ADAPTER("adapter_unreadable", param=_PARAM, name=path.name, cause=error.strerror) from error


def read_adapter(
    data: bytes,
    name: str,
    networks: Mapping[str, nn.Module],
    model: Callable[[], str],
    config: bytes | None = None,
) -> Adapter:
    """Return the adapter that a file's bytes hold. name: for sentences. networks: "unet" and "text_encoder".

    model: gives the `weights_digest` of the U-Net; a file that says that it belongs to another one is refused.
    config: peft's adapter_config.json, where alpha stands if peft itself saved the adapter; part of its digest.
    Raises AdapterError: adapter_pickled, adapter_other_model, adapter_module, adapter_shape, and what is wrong in its
    file.
    """
    tensors, header = _parsed(data, name)
    ours = header.get(OURS)
    metadata = {key: str(value) for key, value in ours.items()} if isinstance(ours, dict) else {}
    if "model" in metadata and metadata["model"] != model():
        own = in_quotes(metadata["model"][:12], 120)
        raise ADAPTER("adapter_other_model", param=_PARAM, name=name, own=own, model=model()[:12])
    if config is not None:
        header["lora_adapter_metadata"] = _peft_metadata(config, name, networks)
    note = ""
    if "lora_adapter_metadata" not in header and any(key.startswith(_PEFT) for key in tensors):
        note = (
            f"the adapter {name} lies without its adapter_config.json: its lora_alpha is taken to be its rank"
        )
    digest = hashlib.sha256(data if config is None else data + config).hexdigest()
    return Adapter(digest, _updates(tensors, header, name, networks), metadata, note)


def write_adapter(updates: Mapping[str, Update], metadata: Mapping[str, str]) -> bytes:
    """Return an adapter of the U-Net as a file, float16, in the form that diffusers' load_lora_weights takes.

    updates: by module, alpha equal to the rank. metadata: kept in its header. Equal input gives equal bytes.
    """
    tensors = {}
    for module, one in updates.items():
        tensors[f"unet.{module}.lora_A.weight"] = one.down.detach().half().cpu().contiguous()
        tensors[f"unet.{module}.lora_B.weight"] = one.up.detach().half().cpu().contiguous()
    data = save(tensors)
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header = json.loads(data[_LENGTH.size : end])
    # safetensors writes such fields in an order that changes from run to run
    header["__metadata__"] = {"format": "pt", OURS: json.dumps(dict(metadata), sort_keys=True)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text + data[end:]


def _parsed(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, and the header's own fields, JSON in them parsed."""
    if data.startswith(_PICKLES):
        raise ADAPTER("adapter_pickled", param=_PARAM, name=name)
    try:
        tensors = load(data)
        length = _LENGTH.unpack_from(data)[0]
        fields = json.loads(data[_LENGTH.size : _LENGTH.size + length]).get("__metadata__", {})
    except (SafetensorError, struct.error, ValueError, KeyError, RuntimeError) as error:
        raise ADAPTER("adapter_not_safetensors", param=_PARAM, name=name) from error
    header: dict[str, Any] = {}
    for key, text in fields.items():
        try:
            header[key] = json.loads(text)
        except ValueError:
            header[key] = text
    return tensors, header


def _peft_metadata(config: bytes, name: str, networks: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Return peft's settings as diffusers keeps them in a file's header, the same for each network."""
    try:
        content = json.loads(config)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ADAPTER("adapter_config", param=_PARAM, name=name)
    return {f"{part}.{key}": value for part in networks for key, value in content.items()}


def _updates(
    tensors: dict[str, Tensor], header: Mapping[str, Any], name: str, networks: Mapping[str, nn.Module]
) -> dict[str, dict[str, Update]]:
    halves: dict[tuple[str, str], dict[str, Tensor]] = {}
    alphas: dict[tuple[str, str], float] = {}
    modules = {part: _modules(network) for part, network in networks.items()}
    for key, tensor in tensors.items():
        path, half = _split(key, name)
        target = _target(path, modules, name)
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise ADAPTER("adapter_not_finite", param=_PARAM, name=name, key=in_quotes(key, 120))
        if half == "alpha":
            if tensor.numel() != 1:
                raise ADAPTER("adapter_alpha", param=_PARAM, name=name, key=in_quotes(key, 120))
            alphas[target] = float(tensor)
        else:
            if half in halves.setdefault(target, {}):
                raise ADAPTER("adapter_repeated", param=_PARAM, name=name, key=in_quotes(key, 120))
            halves[target][half] = tensor
    if not halves:
        raise ADAPTER("adapter_empty", param=_PARAM, name=name)
    updates: dict[str, dict[str, Update]] = {part: {} for part in networks}
    for target, pair in sorted(halves.items()):
        part, module = target
        if len(pair) != 2:
            raise ADAPTER("adapter_half", param=_PARAM, name=name, module=module)
        down, up = pair["down"].float(), pair["up"].float()
        _check_shapes(modules[part][module], module, down, up, name)
        alpha = alphas.get(target, _alpha_of(header, part, module, len(down)))
        updates[part][module] = Update(down, up, alpha)
    return updates


def _split(key: str, name: str) -> tuple[str, str]:
    """Return a key's module as the file calls it, and which half of the update it is, or "alpha"."""
    if key.endswith(".alpha"):
        return key.removesuffix(".alpha"), "alpha"
    match = _KEY.fullmatch(key)
    if match is None:
        raise ADAPTER(
            "adapter_form" if "lora" in key else "adapter_not_lora",
            param=_PARAM,
            name=name,
            key=in_quotes(key, 120),
        )
    return match["path"], {"A": "down", "B": "up", None: match["word"]}[match["letter"]]


def _modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return what can be adapted, by name."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))
    }


def _target(path: str, modules: Mapping[str, Mapping[str, nn.Module]], name: str) -> tuple[str, str]:
    """Return network and module that a file's name of a module means."""
    plain = path.removeprefix(_PEFT)
    prefix = next((one for one in _PARTS if plain.startswith(one)), "")
    # peft saves one network alone and does not say which
    parts = [_PARTS[prefix]] if prefix else ["unet", *(["text_encoder"] if plain != path else [])]
    inner = plain.removeprefix(prefix).replace(".processor.", ".")
    for part in parts:
        module = _module_of(inner, part, list(modules.get(part, {})), flat=prefix.startswith("lora_"))
        if module is not None:
            return part, module
    raise ADAPTER("adapter_module", param=_PARAM, name=name, key=in_quotes(path, 120))


def _module_of(inner: str, part: str, known: Sequence[str], *, flat: bool) -> str | None:
    """Return which of a network's modules a file means. flat: the file writes underscores for points."""
    names = {one.replace(".", "_") if flat else one: one for one in known}
    for word in (
        inner,
        inner.removeprefix("text_model."),
        inner.removeprefix("text_model_"),
        f"text_model.{inner}",
    ):
        for tail in ("", ".0"):
            if word + tail in names:
                return names[word + tail]
        # the former names of diffusers in a text encoder
        old = re.sub(r"\.to_(q|k|v|out)$", r".\1_proj", word)
        if part == "text_encoder" and old in names:
            return names[old]
    return None


def _check_shapes(module: nn.Module, path: str, down: Tensor, up: Tensor, name: str) -> None:
    weight = module.weight
    assert isinstance(weight, Tensor)
    wanted = (len(down), *weight.shape[1:]), (len(weight), len(down), *(1 for _ in weight.shape[2:]))
    if len(down) == 0:
        raise ADAPTER("adapter_rank", param=_PARAM, name=name, module=path)
    for shape, want in zip((list(down.shape), list(up.shape)), map(list, wanted), strict=True):
        if shape != want:
            raise ADAPTER("adapter_shape", param=_PARAM, name=name, module=path, shape=shape, wanted=want)


def _alpha_of(header: Mapping[str, Any], part: str, module: str, rank: int) -> float:
    """Return the alpha that diffusers keeps in the header, as peft's config spells it; the rank where there is none."""
    settings = header.get("lora_adapter_metadata")
    if not isinstance(settings, dict):
        return float(rank)
    pattern = settings.get(f"{part}.alpha_pattern")
    alpha = settings.get(f"{part}.lora_alpha", rank)
    if isinstance(pattern, dict):
        matching = [
            one for one in pattern if module == one.lstrip("^") or module.endswith(f".{one.lstrip('^')}")
        ]
        alpha = pattern[matching[0]] if matching else alpha
    if not isinstance(alpha, (int, float)):
        return float(rank)
    return float(alpha) * (math.sqrt(rank) if settings.get(f"{part}.use_rslora") else 1.0)
