"""The error tree: each leaf says how the command ends (exit code) and why (reason code, one sentence).

TriptychError
├── ConfigError    2   the configuration is wrong: a field, a value, a group
├── InputError     2   an input or output of the whole command cannot be used
├── InternalFault  3   a defect of ours
└── ItemRefused    4   one item of many is set aside; the others go on
"""

from __future__ import annotations

import errno
import traceback
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command; 1 is left to Python, Hydra and torchrun."""

    DONE = 0
    BAD_INPUT = 2
    FAULT = 3
    QUARANTINED = 4


class TriptychError(Exception):
    """Base of all errors raised on purpose; `code` is stable, `sentence` is for people."""

    exit_code = ExitCode.FAULT

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.code, self.sentence)


class ConfigError(TriptychError):
    """The configuration is wrong; the sentence names the field and the cure."""

    exit_code = ExitCode.BAD_INPUT


class InputError(TriptychError):
    """An input or output of the whole command cannot be used."""

    exit_code = ExitCode.BAD_INPUT


class InternalFault(TriptychError):
    """A defect of ours, found by a check in the code."""

    exit_code = ExitCode.FAULT


class ItemRefused(TriptychError):
    """One item of many cannot be processed; it is set aside with its reason."""

    exit_code = ExitCode.QUARANTINED


_OS_REASONS = {
    errno.ENOSPC: ("output_full", "the disk of {path} is full"),
    errno.EDQUOT: ("output_full", "the quota of {path} is used up"),
    errno.EROFS: ("output_unwritable", "{path} is on a read-only file system"),
    errno.EACCES: ("output_unwritable", "{path} may not be written"),
    errno.EPERM: ("output_unwritable", "{path} may not be written"),
    errno.ENOTDIR: ("output_unwritable", "{path} lies below a file, not a folder"),
    errno.EISDIR: ("output_unwritable", "{path} is a folder"),
    errno.EEXIST: ("output_unwritable", "{path} exists and is not a folder"),
}


def output_error(error: OSError, path: object) -> InputError:
    """Return the InputError that a failed write means; an unknown cause names the system's own words."""
    code, text = _OS_REASONS.get(
        error.errno or 0, ("output_unwritable", "{path} cannot be written: " + str(error.strerror))
    )
    return InputError(code, text.format(path=path))


def frames_of(error: BaseException) -> list[str]:
    """Return where an error came from, as module:line, the innermost last; never its message."""
    frames = [
        f"{frame.f_globals.get('__name__', 'unknown')}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return frames[-50:] or ["unknown"]
