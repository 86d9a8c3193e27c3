"""A failed write becomes an error with a code and a sentence that names the folder."""

import errno
import os

import pytest

from core.errors import OutputError
from core.runs.outputs import output_error


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, "output_full", "the disk of out is full"),
        (errno.EDQUOT, "output_full", "the quota of out is full"),
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
