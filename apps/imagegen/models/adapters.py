"""The adapters (LoRA) that a service or a command may draw with: one folder of files, some of them in memory.

Names come from that folder alone and are never a path. An adapter works by being added to the weights: a network then
computes by the same kernels with it as without it, so that its batches stay equal bit for bit where they were equal
before (peft's own layers break that: products of rank 4 are summed in another order in another batch). Without an
adapter the very tensors of before are back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from apps.imagegen.errors import AdapterError
from apps.imagegen.models.adapter_file import (
    LARGEST_MB,
    SUFFIX,
    Adapter,
    Update,
    read_adapter,
    read_bytes,
)
from apps.imagegen.models.pipeline_folder import Pipeline
from apps.imagegen.reasons import ADAPTER
from core.text.quoting import shortened
from core.training.digests import weights_digest

_PICKLED = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_NAMED = 20  # names that a sentence lists
_REMEMBERED = 1000  # files whose check is remembered
# what peft writes into a folder of its own
PEFT_FILE, _PEFT_CONFIG = f"adapter_model{SUFFIX}", "adapter_config.json"
KEPT_MB = 512.0
Signature = tuple[int, int, int]
Merged = dict[tuple[str, str], nn.Parameter]


@dataclass(frozen=True)
class Checked:
    """What is known of a file that can be used."""

    signature: tuple[Signature, Signature]
    digest: str
    note: str


class AdapterCache:
    """Adapters of one folder for one pipeline, which must carry none yet.

    All but `use`, which belongs where the networks compute, may be called from any thread. folder: None or one that is
    not there has no adapters. largest_mb: of a file. kept_mb: most megabytes of adapters and of weights with one added,
    together, that stay in memory beside the one in use; the longest unused go first.
    """

    def __init__(
        self,
        folder: Path | None,
        pipeline: Pipeline,
        *,
        largest_mb: float = LARGEST_MB,
        kept_mb: float = KEPT_MB,
    ) -> None:
        self._folder, self._largest_mb, self._kept = folder, largest_mb, kept_mb * 1e6
        self._networks: dict[str, nn.Module] = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
        self._weights = pipeline.unet.state_dict()  # those of before, also while an adapter is added
        self._model: str | None = None
        self._lock = threading.Lock()
        self._checked: dict[str, Checked] = {}
        # adapters by digest, merged weights by digest and scale, in the order of their last use
        self._memory: OrderedDict[str | tuple[str, float], Adapter | Merged] = OrderedDict()

    def names(self) -> tuple[str, ...]:
        """Return what may be asked for, sorted: the folder's safetensors files without their ending."""
        return tuple(sorted(self._files()))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an adapter's file, which is checked whole.

        Raises AdapterError: adapter_unknown, and what `read_bytes` and `read_adapter` raise.
        """
        return self._check(name).digest

    def note(self, name: str) -> str:
        """Return a sentence on what an adapter's file left open, "" where it left nothing. Raises as `digest` does."""
        return self._check(name).note

    def load(self, name: str, digest: str, scale: float) -> None:
        """Read an adapter into memory, so that `use` need not. Raises AdapterError as `use` does."""
        with self._lock:
            there = digest in self._memory or (digest, scale) in self._memory
        if not there:
            self._adapter(name, digest)

    def _check(self, name: str) -> Checked:
        path = self._path(name)
        signature = _signature(path), _signature(path.with_name(_PEFT_CONFIG))
        with self._lock:
            known = self._checked.get(name)
        if known is None or known.signature != signature:
            adapter = self._read(name)
            known = Checked(signature, adapter.digest, adapter.note)
            with self._lock:
                if len(self._checked) >= _REMEMBERED:
                    self._checked.clear()
                self._checked[name] = known
            self._keep(adapter.digest, adapter)
        return known

    def metadata(self, name: str) -> dict[str, str]:
        """Return what `personalise` wrote into an adapter's header, nothing for files from elsewhere."""
        return self._read(name).metadata

    @contextmanager
    def use(self, name: str | None, scale: float = 1.0, digest: str | None = None) -> Iterator[None]:
        """Let the networks compute with one adapter, or with none, until the block ends. Blocks do not nest.

        Texts that are read in the block see the adapter's part for the text encoder, if it has one. digest: of the
        file that is meant; raises AdapterError adapter_changed where the folder holds other bytes under this name by
        now, and else as `digest` does.
        """
        if name is None:
            yield
            return
        if digest is None or not self._remembers(digest, scale):
            current = self.digest(name)
            if current != (digest or current):
                raise _changed(name)
            digest = current
        merged = self._with(name, digest, scale)
        before = {target: self._weight(target) for target in merged}
        try:
            for target, weight in merged.items():
                self._module(target).weight = weight
            yield
        finally:
            for target, weight in before.items():
                self._module(target).weight = weight

    def held(self) -> int:
        """Return the bytes in memory, of adapters and of weights with one added."""
        with self._lock:
            return self._held()

    def _held(self) -> int:
        return sum(_size(one) for one in self._memory.values())

    def _remembers(self, digest: str, scale: float) -> bool:
        with self._lock:
            return digest in self._memory or (digest, scale) in self._memory

    def _keep(self, key: str | tuple[str, float], one: Adapter | Merged) -> None:
        """Put something into memory, and forget what was not used for the longest time."""
        with self._lock:
            self._memory[key] = one
            self._memory.move_to_end(key)
            while len(self._memory) > 1 and self._held() > self._kept:
                self._memory.popitem(last=False)

    def _kept_one(self, key: str | tuple[str, float]) -> Any:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
            return self._memory.get(key)

    def _files(self) -> dict[str, Path]:
        """Return files by name: those of the folder, and of folders in it that peft wrote, by the folder's name."""
        if self._folder is None or not self._folder.is_dir():
            return {}
        ground = self._folder.resolve()
        files: dict[str, Path] = {}
        for path in self._folder.iterdir():
            name, file = path.stem, path
            if path.is_dir():
                name, file = path.name, path / PEFT_FILE
            inside = file.is_file() and file.resolve().is_relative_to(ground)
            if file.suffix == SUFFIX and inside and name.isprintable() and not name.startswith("."):
                files[name] = files.get(name, file) if path.is_dir() else file
        return files

    def _path(self, name: str) -> Path:
        files = self._files()
        if name in files:
            return files[name]
        if self._folder is not None and name in {path.stem for path in _inside(self._folder, _PICKLED)}:
            raise ADAPTER("adapter_pickled", param="adapter", name=name)
        known = sorted(files)
        listed = ", ".join(known[:_NAMED]) + (
            f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        )
        shown = f"'{shortened(name)}'"
        raise ADAPTER("adapter_unknown", param="adapter", name=shown, known=listed or "none here")

    def _read(self, name: str) -> Adapter:
        path = self._path(name)
        config = path.with_name(_PEFT_CONFIG) if path.name == PEFT_FILE else None
        settings = read_bytes(config, 1.0) if config is not None and config.is_file() else None
        data = read_bytes(path, self._largest_mb)
        return read_adapter(data, name, self._networks, self._digest_of_model, settings)

    def _digest_of_model(self) -> str:
        with self._lock:
            if self._model is None:
                self._model = weights_digest(self._weights)
            return self._model

    def _module(self, target: tuple[str, str]) -> nn.Module:
        return self._networks[target[0]].get_submodule(target[1])

    def _weight(self, target: tuple[str, str]) -> nn.Parameter:
        weight = self._module(target).weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def _with(self, name: str, digest: str, scale: float) -> Merged:
        """Return the weights of the modules that an adapter changes, with it added."""
        merged: Merged | None = self._kept_one((digest, scale))
        if merged is None:
            adapter = self._adapter(name, digest)
            with (
                torch.inference_mode(mode=False),
                torch.no_grad(),
            ):  # made in that mode they would serve in no other
                merged = {
                    (part, module): _added(self._weight((part, module)), update, scale)
                    for part, updates in adapter.updates.items()
                    for module, update in updates.items()
                }
            self._keep((digest, scale), merged)
        return merged

    def _adapter(self, name: str, digest: str) -> Adapter:
        adapter: Adapter | None = self._kept_one(digest)
        if adapter is None:
            adapter = self._read(name)
            if adapter.digest != digest:
                raise _changed(name)
            self._keep(digest, adapter)
        return adapter


def _added(weight: torch.Tensor, update: Update, scale: float) -> nn.Parameter:
    """Return a module's weight with an adapter's update added, laid out in memory as before."""
    down, up = update.down.to(weight.device).flatten(1), update.up.to(weight.device).flatten(1)
    factor = scale * update.alpha / len(down)
    change = ((up @ down) * factor).reshape(weight.shape).to(weight.dtype)
    return nn.Parameter(torch.add(weight, change, out=torch.empty_like(weight)), requires_grad=False)


def _size(one: Adapter | Merged) -> int:
    return one.size if isinstance(one, Adapter) else sum(weight.nbytes for weight in one.values())


def _inside(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in suffixes] if folder.is_dir() else []


def _signature(path: Path) -> Signature:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0  # gone in between; reading it says so
    return status.st_size, status.st_mtime_ns, status.st_ino


def _changed(name: str) -> AdapterError:
    return ADAPTER("adapter_changed", param="adapter", name=name)
