"""The files that a command names beside its prompts: a picture to start from, a mask, an adapter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apps.imagegen.data.pixels import PIXELS, decode_image, decode_mask
from apps.imagegen.models.adapter_file import SUFFIX
from apps.imagegen.models.adapters import AdapterShelf
from apps.imagegen.models.pipeline_folder import Pipeline
from core.errors import InputError

_PICKLES = (".bin", ".ckpt", ".pkl", ".pt", ".pth")
_LARGEST = 256 * 2**20  # bytes of a picture's file


@dataclass(frozen=True, eq=False)
class Given:
    """What was named, ready for the engine. image: rgb_HWC uint8. mask: mask_HW bool. adapter: a name of the shelf."""

    image: np.ndarray | None = None
    mask: np.ndarray | None = None
    shelf: AdapterShelf | None = None
    adapter: str | None = None


def given(
    pipeline: Pipeline,
    size: tuple[int, int],
    *,
    image: str | None = None,
    mask: str | None = None,
    adapter: str | None = None,
) -> Given:
    """Read the files of image=, mask= and adapter=. size: width and height that pictures are brought to, pixels.

    Raises InputError: input_missing, what pixels and adapters refuse, and adapter_pickled or adapter_unreadable for an
    adapter's file of another kind.
    """
    image_HWC = mask_HW = None
    if image is not None:
        data = read_file(Path(image), "image")
        image_HWC = decode_image(data, size, pixels=PIXELS)
        if mask is not None:
            mask_HW = decode_mask(read_file(Path(mask), "mask"), data, size, pixels=PIXELS)
    if adapter is None:
        return Given(image_HWC, mask_HW)
    path = Path(adapter)
    if not path.is_file():
        raise InputError("adapter_unknown", f"adapter={adapter} is no file: name a {SUFFIX} file")
    if path.suffix != SUFFIX:
        pickled = path.suffix in _PICKLES
        why = "is a pickle, which may run code when loaded" if pickled else "is of another kind"
        raise InputError(
            "adapter_pickled" if pickled else "adapter_unreadable",
            f"adapter={adapter} {why}: a {SUFFIX} file is wanted",
        )
    shelf = AdapterShelf(path.parent, pipeline)
    shelf.check(path.stem)
    return Given(image_HWC, mask_HW, shelf, path.stem)


def read_file(path: Path, field: str) -> bytes:
    """Return a file's bytes. field: of the command line that names it. Raises InputError: input_missing."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(
                "input_missing", f"{field}={path} has more than {_LARGEST // 2**20} MB: make it smaller"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError("input_missing", f"{field}={path} cannot be read: {error.strerror}") from error
