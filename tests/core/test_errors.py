from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from core.errors import (
    ConfigError,
    ExitCode,
    InputError,
    InternalFault,
    ItemRefused,
    TriptychError,
    frames_of,
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
