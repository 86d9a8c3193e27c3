"""Why a training cannot run, or cannot be resumed."""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault, TriptychError
from core.reasons import Reasons

TRAINING = Reasons(
    ConfigError,
    "How a training is spread and computed",
    {
        "devices_single": "trainer.devices={devices} needs several processes: add strategy=ddp",
        "processes_single": "several processes were started to train together: add strategy=ddp",
        "ranks_single": "a single device is one rank, not {ranks}: set ranks=1",
        "optimizer_precision": "optimizer={optimizer} keeps weights in bf16: add precision=bf16",
    },
)

RESUME = Reasons(
    InputError,
    "A folder of checkpoints",
    {
        "checkpoint_unusable": (
            "no checkpoint in {folder} can be resumed from ({reasons}): delete that folder to train this part "
            "from its beginning, or name another run_dir"
        ),
    },
)

FAULTS = Reasons(
    InternalFault,
    "A training that has ended",
    {"trained_weights_missing": "a training ended and its weights cannot be read"},
)


class CheckpointUnusable(TriptychError):
    """A file of a training cannot be resumed from; the sentence says why, as a clause about the file."""


CHECKPOINT = Reasons(
    CheckpointUnusable,
    "One file of a training, named before the clause",
    {
        "checkpoint_empty": "is empty",
        "checkpoint_cut": "is cut short or not a checkpoint",
        "checkpoint_damaged": "is damaged",
        "checkpoint_unsafe": "holds objects that could run code, and was not loaded",
        "checkpoint_unreadable": "is damaged or not a checkpoint",
        "checkpoint_foreign": "is not a checkpoint of a training",
        "checkpoint_network": "belongs to another network",
        "checkpoint_settings": "belongs to a training with other settings",
        "weights_cut": "is cut short, damaged or not a file of weights",
        "weights_ending": "does not say how its training ended",
    },
)
