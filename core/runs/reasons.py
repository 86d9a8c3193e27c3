"""Why a run folder is refused, and what a run may not write."""

from __future__ import annotations

from core.errors import ConfigError, InputError, InternalFault, OutputError
from core.reasons import Reasons

RUN_FOLDER = Reasons(
    ConfigError,
    "A run folder that holds a training",
    {
        "run_dir_stage": "{folder} holds the record of stage={held}: name another run_dir for stage={stage}",
        "run_dir_damaged": (
            "{settings}, which says how the training in this folder was begun, is missing or damaged: "
            "name another run_dir, or delete {checkpoints} to train from the beginning"
        ),
        "run_dir_settings": (
            "{folder} was begun with {name}={before}, and this run has {name}={now}: "
            "give the old value to resume it (more steps are allowed), or another run_dir to train anew"
        ),
    },
)

PROCESSES = Reasons(
    InputError,
    "The start of several processes",
    {"run_dir": "several processes need one run folder: add run_dir=FOLDER"},
)

OUTPUT = Reasons(
    OutputError,
    "A result that cannot be written",
    {
        "output_full": "the {space} of {path} is full",
        "output_unwritable": "{path} {obstacle}",
    },
)

RECORDS = Reasons(
    InternalFault,
    "What a program writes about its run",
    {
        "log_field": "log field '{field}' is not in core.runs.log.FIELDS",
        "log_value": "log field '{field}' takes a {type}, and got something else",
        "quarantine_id": "a quarantine id must be a plain file name of at most {bytes} bytes",
    },
)
