"""The error tree: each leaf says how the command ends (exit code) and why (reason code, one sentence).

TriptychError
├── ConfigError    2   the configuration is wrong: a field, a value, a group
├── InputError     2   an input or output of the whole command cannot be used
│   └── OutputError    a result cannot be written; its sentence names a folder of this machine
├── InternalFault  3   a defect of ours
└── ItemRefused    4   one item of many is set aside; the others go on
"""

from __future__ import annotations

import sysconfig
import traceback
from enum import IntEnum
from pathlib import Path

_MOST_FRAMES = 50
_ROOT = Path(__file__).resolve().parents[1]


class ExitCode(IntEnum):
    """Exit codes of every command; 1 is left to Python, Hydra and torchrun."""

    DONE = 0
    """Done; inputs that a rule leaves out are no fault."""
    BAD_INPUT = 2
    """The configuration, an input or an output cannot be used: one clear line, no traceback."""
    FAULT = 3
    """An internal fault, a defect of the program; where it arose is in the run's log."""
    QUARANTINED = 4
    """Finished, and some inputs were quarantined; each is listed with its reason."""


class TriptychError(Exception):
    """Base of all errors raised on purpose.

    code: stable, for programs. sentence: for people, and what `str` returns. exit_code: how a command ends by it.

    >>> try:
    ...     raise InputError("input_empty", "scans holds no file to read")
    ... except TriptychError as error:
    ...     print(f"{error.code}: {error} (exit code {error.exit_code})")
    input_empty: scans holds no file to read (exit code 2)
    """

    exit_code = ExitCode.FAULT

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.code, self.sentence)


class ConfigError(TriptychError):
    """The configuration is wrong; the sentence names the field and the cure.

    >>> try:
    ...     raise ConfigError("choice_unknown", "device=abacus is not one of auto, cpu, cuda")
    ... except ConfigError as error:
    ...     error.code, error.sentence, int(error.exit_code)
    ('choice_unknown', 'device=abacus is not one of auto, cpu, cuda', 2)
    """

    exit_code = ExitCode.BAD_INPUT


class InputError(TriptychError):
    """An input or output of the whole command cannot be used.

    >>> try:
    ...     raise InputError("input_empty", "scans holds no file to read")
    ... except InputError as error:
    ...     error.code, error.sentence, int(error.exit_code)
    ('input_empty', 'scans holds no file to read', 2)
    """

    exit_code = ExitCode.BAD_INPUT


class OutputError(InputError):
    """A result cannot be written: a full disk, a folder that may not be written."""


class InternalFault(TriptychError):
    """A defect of ours, found by a check in the code."""

    exit_code = ExitCode.FAULT


class ItemRefused(TriptychError):
    """One item of many cannot be processed; it is set aside with its reason."""

    exit_code = ExitCode.QUARANTINED


def frames_of(error: BaseException) -> list[str]:
    """Return where an error came from, as file:line, the innermost last and at most 50; never its message.

    A file is named relative to this project, or as <site>/package/file of an
    installed package, <python>/file, or <other>/file: no folder of a user.
    """
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    return [f"{source_of(frame.filename)}:{frame.lineno}" for frame in frames] or ["<unknown>"]


def where_of(error: BaseException) -> str:
    """Return the innermost frame of ours, as file:line; that of a library where none is ours."""
    frames = frames_of(error)
    return next((frame for frame in reversed(frames) if not frame.startswith("<")), frames[-1])


def source_of(filename: str) -> str:
    """Return a source file's name as it may be logged."""
    path = Path(filename)
    folders = sysconfig.get_paths()
    for root, mark in ((folders["purelib"], "<site>/"), (folders["stdlib"], "<python>/"), (str(_ROOT), "")):
        if path.is_relative_to(root):
            return mark + _printable(str(path.relative_to(root)))
    return f"<other>/{_printable(path.name)}"


def _printable(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._/-") else "-" for c in text)
