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
from pathlib import Path

import torch
from torch import nn

from apps.imagegen.models.adapter_file import (
    LARGEST_MB,
    SUFFIX,
    Adapter,
    Update,
    read_adapter,
    read_bytes,
)
from apps.imagegen.models.pipeline_folder import Pipeline
from core.errors import InputError
from core.training.digests import weights_digest

_PICKLED = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_NAMED = 20  # names that a sentence lists
_REMEMBERED = 1000  # files whose check is remembered
Signature = tuple[int, int, int]
Merged = dict[tuple[str, str], nn.Parameter]


class AdapterShelf:
    """Adapters of one folder for one pipeline, which must carry none yet.

    `names`, `digest` and `check` may be called from any thread; `use` only where the networks compute.
    folder: None or one that is not there has no adapters. largest_mb: of a file. kept_mb: most megabytes of adapters,
    and again of weights with one added, that stay in memory beside those in use; the longest unused go first.
    """

    def __init__(
        self,
        folder: Path | None,
        pipeline: Pipeline,
        *,
        largest_mb: float = LARGEST_MB,
        kept_mb: float = 512.0,
    ) -> None:
        self._folder, self._largest_mb, self._kept = folder, largest_mb, kept_mb * 1e6
        self._networks: dict[str, nn.Module] = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
        self._weights = pipeline.unet.state_dict()  # those of before, also while an adapter is added
        self._model: str | None = None
        self._lock = threading.Lock()
        self._checked: dict[str, tuple[Signature, str]] = {}
        self._adapters: OrderedDict[str, Adapter] = OrderedDict()
        self._merged: OrderedDict[tuple[str, float], Merged] = OrderedDict()

    def names(self) -> tuple[str, ...]:
        """Return what may be asked for, sorted: the folder's safetensors files without their ending."""
        return tuple(sorted(self._files()))

    def digest(self, name: str) -> str:
        """Return the SHA-256 of an adapter's file, which is checked whole.

        Raises InputError: adapter_unknown, adapter_pickled, adapter_unreadable, adapter_too_large, adapter_other_model.
        """
        path = self._path(name)
        signature = _signature(path)
        with self._lock:
            known = self._checked.get(name)
        if known is None or known[0] != signature:
            known = signature, self._read(name).digest
            with self._lock:
                if len(self._checked) >= _REMEMBERED:
                    self._checked.clear()
                self._checked[name] = known
        return known[1]

    def check(self, name: str) -> None:
        """Raise InputError where an adapter cannot be used, as `digest` does."""
        self.digest(name)

    def told(self, name: str) -> dict[str, str]:
        """Return what `personalise` wrote into an adapter's header, nothing for files from elsewhere."""
        return self._read(name).told

    @contextmanager
    def use(self, name: str | None, scale: float = 1.0, digest: str | None = None) -> Iterator[None]:
        """Let the networks compute with one adapter, or with none, until the block ends. Blocks do not nest.

        Texts that are read in the block see the adapter's part for the text encoder, if it has one. digest: of the
        file that is meant; raises InputError adapter_changed where the folder holds other bytes under this name by
        now, and else as `digest` does.
        """
        if name is None:
            yield
            return
        if digest is None or digest not in self._adapters:
            found = self.digest(name)
            if found != (digest or found):
                raise _changed(name)
            digest = found
        merged = self._with(name, digest, scale)
        before = {place: self._weight(place) for place in merged}
        try:
            for place, weight in merged.items():
                self._module(place).weight = weight
            yield
        finally:
            for place, weight in before.items():
                self._module(place).weight = weight

    def held(self) -> dict[str, int]:
        """Return the bytes in memory: "adapters", and "merged" for weights with one added."""
        return {
            "adapters": sum(one.size for one in self._adapters.values()),
            "merged": sum(_size(one) for one in self._merged.values()),
        }

    def _files(self) -> dict[str, Path]:
        if self._folder is None or not self._folder.is_dir():
            return {}
        ground = self._folder.resolve()
        return {
            path.stem: path
            for path in self._folder.iterdir()
            if path.suffix == SUFFIX and path.is_file() and path.resolve().is_relative_to(ground)
            if path.stem.isprintable() and not path.name.startswith(".")
        }

    def _path(self, name: str) -> Path:
        files = self._files()
        if name in files:
            return files[name]
        if self._folder is not None and name in {path.stem for path in _inside(self._folder, _PICKLED)}:
            raise InputError(
                "adapter_pickled",
                f"the adapter {name} is a pickle, which may run code when loaded: only {SUFFIX} files are taken",
            )
        known = sorted(files)
        listed = ", ".join(known[:_NAMED]) + (
            f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
        )
        shown = ascii(name if len(name) <= 60 else f"{name[:60]}...")
        raise InputError(
            "adapter_unknown", f"there is no adapter {shown}; there are: {listed or 'none here'}"
        )

    def _read(self, name: str) -> Adapter:
        data = read_bytes(self._path(name), self._largest_mb)
        return read_adapter(data, name, self._networks, self._digest_of_model)

    def _digest_of_model(self) -> str:
        with self._lock:
            if self._model is None:
                self._model = weights_digest(self._weights)
            return self._model

    def _module(self, place: tuple[str, str]) -> nn.Module:
        return self._networks[place[0]].get_submodule(place[1])

    def _weight(self, place: tuple[str, str]) -> nn.Parameter:
        weight = self._module(place).weight
        assert isinstance(weight, nn.Parameter)
        return weight

    def _with(self, name: str, digest: str, scale: float) -> Merged:
        """Return the weights of the modules that an adapter changes, with it added."""
        key = digest, scale
        if key not in self._merged:
            adapter = self._adapter(name, digest)
            with (
                torch.inference_mode(mode=False),
                torch.no_grad(),
            ):  # made in that mode they would serve in no other
                self._merged[key] = {
                    (part, module): _added(self._weight((part, module)), update, scale)
                    for part, updates in adapter.updates.items()
                    for module, update in updates.items()
                }
        self._merged.move_to_end(key)
        while len(self._merged) > 1 and self.held()["merged"] > self._kept:
            self._merged.popitem(last=False)
        return self._merged[key]

    def _adapter(self, name: str, digest: str) -> Adapter:
        if digest not in self._adapters:
            adapter = self._read(name)
            if adapter.digest != digest:
                raise _changed(name)
            self._adapters[digest] = adapter
        self._adapters.move_to_end(digest)
        while len(self._adapters) > 1 and self.held()["adapters"] > self._kept:
            gone, _ = self._adapters.popitem(last=False)
            for key in [key for key in self._merged if key[0] == gone]:
                del self._merged[key]
        return self._adapters[digest]


def _added(weight: torch.Tensor, update: Update, scale: float) -> nn.Parameter:
    """Return a module's weight with an adapter's update added, laid out in memory as before."""
    down, up = update.down.to(weight.device).flatten(1), update.up.to(weight.device).flatten(1)
    factor = scale * update.alpha / len(down)
    change = ((up @ down) * factor).reshape(weight.shape).to(weight.dtype)
    return nn.Parameter(torch.add(weight, change, out=torch.empty_like(weight)), requires_grad=False)


def _size(merged: Merged) -> int:
    return sum(weight.nbytes for weight in merged.values())


def _inside(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in suffixes] if folder.is_dir() else []


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0  # gone in between; reading it says so
    return found.st_size, found.st_mtime_ns, found.st_ino


def _changed(name: str) -> InputError:
    return InputError(
        "adapter_changed", f"the adapter {name} was replaced by another file meanwhile: ask again"
    )
