"""Say why a result could not be written: the OutputError that a failed write means."""

from __future__ import annotations

import errno

from core.errors import OutputError
from core.runs.reasons import OUTPUT

_SPACES = {errno.ENOSPC: "disk", errno.EDQUOT: "quota"}
_OBSTACLES = {
    errno.EROFS: "is on a read-only file system",
    errno.EACCES: "may not be written",
    errno.EPERM: "may not be written",
    errno.ENOTDIR: "lies below a file, not a folder",
    errno.EISDIR: "is a folder",
    errno.EEXIST: "exists and is not a folder",
}


def output_error(error: OSError, path: object) -> OutputError:
    """Return the OutputError that a failed write means; an unknown cause names the system's own words.

    >>> str(output_error(OSError(errno.ENOSPC, "No space left on device"), "results"))
    'the disk of results is full'
    """
    number = error.errno or 0
    if number in _SPACES:
        return OUTPUT("output_full", space=_SPACES[number], path=path)
    obstacle = _OBSTACLES.get(number, f"cannot be written: {error.strerror}")
    return OUTPUT("output_unwritable", path=path, obstacle=obstacle)
