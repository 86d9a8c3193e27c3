"""Where real data lies, and paths for libraries that want them in UTF-8."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def data_root() -> Path | None:
    """Return $TRIPTYCH_DATA, else `../shared/data` beside the checkout; None where there is no such folder."""
    named = os.environ.get("TRIPTYCH_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    return folder if folder.is_dir() else None


@contextlib.contextmanager
def encodable(path: Path) -> Iterator[Path]:
    """Yield a path that a library which takes UTF-8 only can open: the path itself, or one through links to it.

    A file system takes any bytes as a name; pyarrow, ITK and tokenizers do not. path: a folder, or a file that exists
    or lies in a folder that does; the files beside it can be reached from it (an .mhd names its .raw).
    """
    if _is_utf8(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as links:
        if path.is_dir():
            link = Path(links) / "folder"
            link.symlink_to(path.absolute())
            yield link
        elif _is_utf8(path.name):
            link = Path(links) / "folder"
            link.symlink_to(path.parent.absolute())
            yield link / path.name
        else:
            for beside in path.parent.absolute().iterdir() if path.parent.is_dir() else ():
                (Path(links) / beside.name).symlink_to(beside)
            link = Path(links) / f"file{''.join(filter(_is_utf8, path.suffixes[-2:]))}"
            link.symlink_to(path.absolute())
            yield link


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
