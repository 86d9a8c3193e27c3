"""What a checkpoint needs beside weights and optimizer, and how it reaches the disk whole."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback
from torch import nn

from core.runs.files import write_bytes
from core.training.reasons import CHECKPOINT, CheckpointUnusable


def plain_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a module's state for safetensors, which takes no two names for one tensor: the second gets a copy."""
    seen: set[int] = set()
    out = {}
    for name, value in module.state_dict().items():
        value = value.contiguous()
        out[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return out


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its target and renames it, so that a killed run leaves a whole one behind.

    (Lightning's own writer takes the system's temporary folder; from another disk that is a copy, not a rename.)
    Raises InputError where the disk is full or cannot be written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write one checkpoint; there are no storage options."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue())

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,
        weights_only: bool | None = None,  # noqa: FBT001
    ) -> dict[str, Any]:
        """Read one checkpoint, whatever asks for it as `read_checkpoint` does: nothing in it runs."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values, on the CPU; code that it may hold is never run.

    Raises CheckpointUnusable where the file is empty, cut short, damaged, not a checkpoint, or holds anything else.
    """
    try:
        if not path.stat().st_size:
            raise CHECKPOINT("checkpoint_empty")
        if not zipfile.is_zipfile(path):
            raise CHECKPOINT("checkpoint_cut")
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise CHECKPOINT("checkpoint_damaged")
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CHECKPOINT("checkpoint_unsafe") from error
    except CheckpointUnusable:
        raise
    except Exception as error:  # whatever a damaged archive leads to
        raise CHECKPOINT("checkpoint_unreadable") from error
    if not isinstance(kept, dict):
        raise CHECKPOINT("checkpoint_foreign")
    return kept


class RandomState(Callback):
    """Keeps torch's random state, so that dropout in a resumed run drops what an unbroken one drops, on each rank."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"ranks": _of_all_ranks(_random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._kept = state_dict

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        # only now: making the loader has drawn from the generator, as it had before the first step
        if self._kept is not None and trainer.global_rank < len(self._kept["ranks"]):
            _set_random_state(self._kept["ranks"][trainer.global_rank])
        self._kept = None


def _random_state() -> dict[str, torch.Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _of_all_ranks(state: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """Gather one object from each process; all of them make checkpoints in the same step."""
    if not (dist.is_available() and dist.is_initialized()):
        return [state]
    states: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(states, state)
    return states
