"""A folder that is whole or not there: written beside its name, and given it by one rename.

Several writers may work at once, and each may be killed: the next writer removes what it left.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
STAGED = ".part"
ASIDE = ".old"


@contextmanager
def locked(folder: Path, flags: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of a folder. Raises BlockingIOError where LOCK_NB is among the flags and another holds it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, flags)
        yield
    finally:
        os.close(handle)


@contextmanager
def staging_folder(scores: Path, name: str) -> Iterator[Path]:
    """Make a hidden folder beside the target, locked as long as its writer lives, and remove it at the end."""
    with locked(scores):
        _clean(scores)
        folder = Path(tempfile.mkdtemp(dir=scores, prefix=f".{name}.", suffix=STAGED))
        handle = os.open(folder, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _clean(scores: Path) -> None:
    """Finish what dead writers left: put back a partition that was set aside, remove folders nobody works in."""
    for path in scores.glob(f".as_of=*{ASIDE}"):
        target = scores / path.name.removeprefix(".").removesuffix(ASIDE)
        if target.exists():
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.rename(path, target)
    for path in scores.glob(f".as_of=*{STAGED}"):
        try:
            with locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path, ignore_errors=True)
        except (BlockingIOError, FileNotFoundError):
            continue  # its writer is at work, or has just ended


def publish(whole: Path, target: Path) -> None:
    """Let a whole folder take a name, in one rename; where the same bytes have it already, leave them."""
    while True:
        try:
            os.rename(whole, target)  # where there is no older one
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _same(whole, target):
            return
        try:
            exchange(whole, target)
            return
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
                raise
        if _replace_in_two_steps(whole, target):
            return


def exchange(one: Path, other: Path) -> None:
    """Let two folders change their names in one step (renameat2, Linux 3.15)."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if rename is not None:
        names = os.fsencode(one), os.fsencode(other)
        if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), str(other))


def _replace_in_two_steps(whole: Path, target: Path) -> bool:
    """Replace where a file system (NFS) cannot exchange; after a crash in between the next writer puts it back."""
    with locked(target.parent):
        aside = target.with_name(f".{target.name}{ASIDE}")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(target, aside)
        try:
            os.rename(whole, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False  # another writer was quicker
        shutil.rmtree(aside, ignore_errors=True)
        return True


def _same(one: Path, other: Path) -> bool:
    try:
        names = sorted(os.listdir(one))
        if names != sorted(os.listdir(other)):
            return False
        return filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])
    except FileNotFoundError:
        return False


def sync(folder: Path) -> None:
    """Bring a folder and the files in it to the disk."""
    for path in [*(path for path in folder.iterdir() if path.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
