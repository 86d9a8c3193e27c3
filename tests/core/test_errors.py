from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import pytest

from core.errors import (
    ConfigError,
    ExitCode,
    InputError,
    InternalFault,
    ItemRefused,
    OutputError,
    TriptychError,
    frames_of,
    output_error,
    source_of,
    where_of,
)

LEAVES = {ConfigError: 2, InputError: 2, InternalFault: 3, ItemRefused: 4}


def test_every_leaf_has_its_exit_code() -> None:
    ours = {leaf for leaf in TriptychError.__subclasses__() if leaf.__module__ == "core.errors"}
    assert ours == set(LEAVES)
    assert {leaf: int(leaf.exit_code) for leaf in LEAVES} == LEAVES
    assert 1 not in set(ExitCode), "1 is what Python itself ends with"


@pytest.mark.parametrize("leaf", LEAVES)
def test_an_error_survives_a_process_border(leaf: type[TriptychError]) -> None:
    error = pickle.loads(pickle.dumps(leaf("some_code", "One sentence.")))
    assert type(error) is leaf
    assert (error.code, error.sentence, str(error)) == ("some_code", "One sentence.", "One sentence.")


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, "output_full", "the disk of out is full"),
        (errno.EDQUOT, "output_full", "the quota of out is used up"),
        (errno.EROFS, "output_unwritable", "out is on a read-only file system"),
        (errno.EACCES, "output_unwritable", "out may not be written"),
        (errno.EPERM, "output_unwritable", "out may not be written"),
        (errno.ENOTDIR, "output_unwritable", "out lies below a file, not a folder"),
        (errno.EISDIR, "output_unwritable", "out is a folder"),
        (errno.EEXIST, "output_unwritable", "out exists and is not a folder"),
        (errno.EIO, "output_unwritable", f"out cannot be written: {os.strerror(errno.EIO)}"),
    ],
)
def test_a_failed_write_has_code_and_sentence(number: int, code: str, words: str) -> None:
    error = output_error(OSError(number, os.strerror(number)), "out")
    assert isinstance(error, OutputError)
    assert (error.code, error.sentence) == (code, words)


def test_frames_tell_where_and_nothing_else() -> None:
    try:
        json.loads('{"secret"')
    except ValueError as error:
        frames = frames_of(error)
    assert frames[-1].startswith("<python>/json/decoder.py:")
    assert not any("secret" in frame for frame in frames)
    assert frames_of(ValueError("never raised")) == ["<unknown>"]
    assert where_of(error_of_ours()).startswith("tests/core/test_errors.py:")


def error_of_ours() -> ValueError:
    """Return an error that a library raised when we called it."""
    try:
        json.loads("{")
    except ValueError as error:
        return error
    raise AssertionError


def test_source_files_are_named_without_the_machines_folders() -> None:
    assert source_of(str(Path(__file__))) == "tests/core/test_errors.py"
    assert source_of("/somewhere/strange name.py") == "<other>/strange-name.py"
    assert source_of(pytest.__file__) == "<site>/pytest/__init__.py"
