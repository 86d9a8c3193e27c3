"""Resume a training: from its newest whole checkpoint, or with the weights that it ended with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from core.errors import InputError
from core.runs.files import write_json
from core.runs.training import Checkpoints
from core.training.checkpoint import read_checkpoint
from core.training.reasons import CHECKPOINT, RESUME, CheckpointUnusable
from core.training.saving import LAST, MARK

WEIGHTS = "weights.safetensors"
BEGUN = "begun.json"  # in a folder of checkpoints: the digest of the earlier weights that they began from
_NEEDED = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks")


@dataclass(frozen=True)
class Start:
    """The checkpoint to resume from: its file, step, and averaged weights."""

    path: Path
    step: int
    state: Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Ended:
    """The weights that a training ended with. minutes: the limit that ended it, None where it trained all its steps."""

    state: Mapping[str, torch.Tensor]
    steps: int
    minutes: float | None
    loss: float | None
    seconds: float

    def is_all_of(self, steps: int, minutes: float | None) -> bool:
        """Return whether so many steps, or as many as that time allows, are trained already."""
        out_of_time = self.minutes is not None and minutes is not None and minutes <= self.minutes
        return self.steps >= steps or out_of_time


def folder_of(checkpoints: Checkpoints) -> Path:
    """Return the folder for a part of a training: another one where the earlier weights it begins from have changed.

    Raises InputError where a folder does not say what it began from.
    """
    for number in count(1):
        path = checkpoints.path
        path = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if _begun_from(path) in (None, checkpoints.after):
            return path
    raise AssertionError


def begin(checkpoints: Checkpoints, folder: Path) -> None:
    """Write down what a part of a training begins from, where that is an earlier part."""
    if checkpoints.after and _begun_from(folder) is None:
        write_json(folder / BEGUN, {"after": checkpoints.after})
        if folder != checkpoints.path:
            checkpoints.say(
                f"{checkpoints.path.name} begins anew in {folder}: what it begins from was trained on"
            )


def newest_checkpoint(checkpoints: Checkpoints, folder: Path, module: nn.Module) -> Start | None:
    """Return the newest checkpoint that is whole and belongs to this training; None where there is no file at all.

    Says in one line which ones were passed over, and why. Raises InputError where none of several is usable.
    """
    usable: list[Start] = []
    unusable: list[str] = []
    for path in sorted(folder.glob("*.ckpt"), key=lambda path: (path.name != LAST, path.name)):
        try:
            usable.append(_start(path, checkpoints.identity, module))
        except CheckpointUnusable as reason:
            unusable.append(f"{path.name} {reason}")
    if unusable and not usable:
        raise _refusal(folder, unusable)
    newest = max(usable, key=lambda start: start.step, default=None)
    if unusable and newest is not None:
        checkpoints.say(
            f"{folder}: {'; '.join(unusable)}: resumed from {newest.path.name}, step {newest.step}, instead"
        )
    return newest


def ended(checkpoints: Checkpoints, folder: Path, module: nn.Module) -> Ended | None:
    """Return the weights that the training ended with; None where it has not ended.

    A damaged file, or one of another training, counts as none where a checkpoint can make it again, and is named in
    one line. Raises InputError where there is none.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        return None
    try:
        return _read_ended(path, checkpoints.identity, module)
    except CheckpointUnusable as reason:
        unusable = f"{path.name} {reason}"
    if not any(folder.glob("*.ckpt")):
        raise _refusal(folder, [unusable])
    checkpoints.say(f"{folder}: {unusable}: it is made again from the checkpoints")
    return None


def _read_ended(path: Path, mark: str, module: nn.Module) -> Ended:
    try:
        if not path.stat().st_size:
            raise CHECKPOINT("checkpoint_empty")
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CHECKPOINT("weights_cut") from error
    _check_belongs(state, module, metadata.get("mark"), mark)
    try:
        minutes, loss = (float(metadata[name]) if metadata[name] else None for name in ("minutes", "loss"))
        return Ended(state, int(metadata["steps"]), minutes, loss, float(metadata["seconds"]))
    except (KeyError, ValueError) as error:
        raise CHECKPOINT("weights_ending") from error


def _start(path: Path, mark: str, module: nn.Module) -> Start:
    kept = read_checkpoint(path)
    step, state = kept.get("global_step"), kept.get("state_dict")
    if not isinstance(step, int) or not isinstance(state, dict) or any(name not in kept for name in _NEEDED):
        raise CHECKPOINT("checkpoint_foreign")
    _check_belongs(state, module, kept.get(MARK), mark)
    return Start(path, step, state)


def _check_belongs(state: Mapping[str, Any], module: nn.Module, held: Any, mark: str) -> None:
    own = {name: value.shape for name, value in module.state_dict().items()}
    if {name: getattr(value, "shape", None) for name, value in state.items()} != own:
        raise CHECKPOINT("checkpoint_network")
    if held != mark:
        raise CHECKPOINT("checkpoint_settings")


def _begun_from(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / BEGUN).read_text(encoding="utf-8"))["after"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refusal(folder, [f"{BEGUN} {CHECKPOINT.sentence('checkpoint_damaged')}"]) from error


def _refusal(folder: Path, reasons: list[str]) -> InputError:
    return RESUME("checkpoint_unusable", folder=folder, reasons="; ".join(reasons))
