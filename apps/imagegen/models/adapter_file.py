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

from core.errors import InputError

SUFFIX = ".safetensors"
LARGEST_MB = 512.0
OURS = "triptych"  # the field of a file's header where we say whence it comes
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
    """An adapter that fits a model. updates: by network ("unet", "text_encoder") and module. told: of its header.

    note: a sentence on what its file left open, "" where it left nothing.
    """

    digest: str
    updates: dict[str, dict[str, Update]]
    told: dict[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def size(self) -> int:
        """Return how many bytes its tensors take."""
        pairs = [one for part in self.updates.values() for one in part.values()]
        return sum(tensor.nbytes for one in pairs for tensor in (one.down, one.up))


def read_bytes(path: Path, largest_mb: float = LARGEST_MB) -> bytes:
    """Return a file's bytes. Raises InputError: adapter_unknown (none there), adapter_too_large, adapter_unreadable."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe of that name would wait for ever
        with os.fdopen(handle, "rb") as stream:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise InputError("adapter_unreadable", f"the adapter {path.name} is no file")
            if found.st_size > largest_mb * 1e6:
                raise InputError(
                    "adapter_too_large",
                    f"the adapter {path.name} has {found.st_size / 1e6:.0f} MB; at most {largest_mb:g} MB are loaded",
                )
            return stream.read()
    except FileNotFoundError:
        raise InputError("adapter_unknown", f"there is no adapter {path.name}") from None
    except OSError as error:
        raise InputError(
            "adapter_unreadable", f"the adapter {path.name} cannot be read: {error.strerror}"
        ) from error


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
    Raises InputError: adapter_pickled, adapter_unreadable, adapter_other_model.
    """
    tensors, header = _parsed(data, name)
    told = header.get(OURS)
    about = {key: str(value) for key, value in told.items()} if isinstance(told, dict) else {}
    if "model" in about and about["model"] != model():
        raise InputError(
            "adapter_other_model",
            f"the adapter {name} was learned on another model: its U-Net is {_shown(about['model'][:12])}, and this "
            f"is '{model()[:12]}': personalise this one, or load that one",
        )
    if config is not None:
        header["lora_adapter_metadata"] = _peft_metadata(config, name, networks)
    note = ""
    if "lora_adapter_metadata" not in header and any(key.startswith(_PEFT) for key in tensors):
        note = (
            f"the adapter {name} lies without its adapter_config.json: its lora_alpha is taken to be its rank"
        )
    digest = hashlib.sha256(data if config is None else data + config).hexdigest()
    return Adapter(digest, _updates(tensors, header, name, networks), about, note)


def write_adapter(updates: Mapping[str, Update], told: Mapping[str, str]) -> bytes:
    """Return an adapter of the U-Net as a file, float16, in the form that diffusers' load_lora_weights takes.

    updates: by module, alpha equal to the rank. told: kept in its header. Equal input gives equal bytes.
    """
    tensors = {}
    for module, one in updates.items():
        tensors[f"unet.{module}.lora_A.weight"] = one.down.detach().half().cpu().contiguous()
        tensors[f"unet.{module}.lora_B.weight"] = one.up.detach().half().cpu().contiguous()
    data = save(tensors)
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    header = json.loads(data[_LENGTH.size : end])
    # safetensors writes such fields in an order that changes from run to run
    header["__metadata__"] = {"format": "pt", OURS: json.dumps(dict(told), sort_keys=True)}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text + data[end:]


def _parsed(data: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors, and the header's own fields, JSON in them parsed."""
    if data.startswith(_PICKLES):
        raise InputError(
            "adapter_pickled",
            f"the adapter {name} is a pickle or an archive, which may run code when loaded: "
            "only safetensors are taken; convert it where you trust it",
        )
    try:
        tensors = load(data)
        length = _LENGTH.unpack_from(data)[0]
        fields = json.loads(data[_LENGTH.size : _LENGTH.size + length]).get("__metadata__", {})
    except (SafetensorError, struct.error, ValueError, KeyError, RuntimeError) as error:
        raise _unreadable(name, "it is no safetensors file, or cut off") from error
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
        raise _unreadable(name, "its adapter_config.json is not a JSON object")
    return {f"{part}.{key}": value for part in networks for key, value in content.items()}


def _updates(
    tensors: dict[str, Tensor], header: Mapping[str, Any], name: str, networks: Mapping[str, nn.Module]
) -> dict[str, dict[str, Update]]:
    halves: dict[tuple[str, str], dict[str, Tensor]] = {}
    alphas: dict[tuple[str, str], float] = {}
    modules = {part: _modules(network) for part, network in networks.items()}
    for key, tensor in tensors.items():
        path, half = _split(key, name)
        place = _place(path, modules, name)
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise _unreadable(name, f"{_shown(key)} has values that are no finite numbers")
        if half == "alpha":
            if tensor.numel() != 1:
                raise _unreadable(name, f"{_shown(key)} is more than one number")
            alphas[place] = float(tensor)
        else:
            if half in halves.setdefault(place, {}):
                raise _unreadable(name, f"{_shown(key)} changes a module that another entry changes too")
            halves[place][half] = tensor
    if not halves:
        raise _unreadable(name, "there is no LoRA in it")
    found: dict[str, dict[str, Update]] = {part: {} for part in networks}
    for place, pair in sorted(halves.items()):
        part, module = place
        if len(pair) != 2:
            raise _unreadable(name, f"{module} has one half of its update and lacks the other")
        down, up = pair["down"].float(), pair["up"].float()
        _check_shapes(modules[part][module], module, down, up, name)
        alpha = alphas.get(place, _alpha_of(header, part, module, len(down)))
        found[part][module] = Update(down, up, alpha)
    return found


def _split(key: str, name: str) -> tuple[str, str]:
    """Return a key's module as the file calls it, and which half of the update it is, or "alpha"."""
    if key.endswith(".alpha"):
        return key.removesuffix(".alpha"), "alpha"
    match = _KEY.fullmatch(key)
    if match is None:
        kind = (
            "weights of another kind than LoRA"
            if "lora" not in key
            else "a form of LoRA that is not known here"
        )
        raise _unreadable(name, f"{_shown(key)} belongs to {kind}")
    return match["path"], {"A": "down", "B": "up", None: match["word"]}[match["letter"]]


def _modules(network: nn.Module) -> dict[str, nn.Module]:
    """Return what can be adapted, by name."""
    return {
        name: module for name, module in network.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))
    }


def _place(path: str, modules: Mapping[str, Mapping[str, nn.Module]], name: str) -> tuple[str, str]:
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
    raise InputError(
        "adapter_other_model",
        f"the adapter {name} is of another model: it changes {_shown(path)}, which this model lacks",
    )


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
        # how diffusers once called them in a text encoder
        old = re.sub(r"\.to_(q|k|v|out)$", r".\1_proj", word)
        if part == "text_encoder" and old in names:
            return names[old]
    return None


def _check_shapes(module: nn.Module, path: str, down: Tensor, up: Tensor, name: str) -> None:
    weight = module.weight
    assert isinstance(weight, Tensor)
    wanted = (len(down), *weight.shape[1:]), (len(weight), len(down), *(1 for _ in weight.shape[2:]))
    if len(down) == 0:
        raise _unreadable(name, f"the update of {path} has rank 0")
    for found, want in zip((tuple(down.shape), tuple(up.shape)), wanted, strict=True):
        if found != want:
            raise InputError(
                "adapter_other_model",
                f"the adapter {name} is of another model: its update of {path} has shape {list(found)}, "
                f"and {list(want)} would fit",
            )


def _alpha_of(header: Mapping[str, Any], part: str, module: str, rank: int) -> float:
    """Return the alpha that diffusers keeps in the header, as peft's config spells it; the rank where there is none."""
    told = header.get("lora_adapter_metadata")
    if not isinstance(told, dict):
        return float(rank)
    pattern = told.get(f"{part}.alpha_pattern")
    alpha = told.get(f"{part}.lora_alpha", rank)
    if isinstance(pattern, dict):
        matching = [
            one for one in pattern if module == one.lstrip("^") or module.endswith(f".{one.lstrip('^')}")
        ]
        alpha = pattern[matching[0]] if matching else alpha
    if not isinstance(alpha, (int, float)):
        return float(rank)
    return float(alpha) * (math.sqrt(rank) if told.get(f"{part}.use_rslora") else 1.0)


def _shown(text: str) -> str:
    """Return a key of a file as a sentence may quote it: printable, and short."""
    return ascii(text if len(text) <= 120 else f"{text[:120]}...")


def _unreadable(name: str, why: str) -> InputError:
    return InputError("adapter_unreadable", f"the adapter {name} cannot be used: {why}")
