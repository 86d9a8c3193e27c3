"""Where networks compute: one rule for all apps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.compute.reasons import DEVICE

if TYPE_CHECKING:
    import torch

# Of every option that names a device.
DEVICES = ("auto", "cpu", "cuda")
ABOUT_DEVICE = "where it computes; auto takes a GPU if there is one"


def choose_device(name: str) -> torch.device:
    """Return the device of a name of DEVICES; auto is a GPU if there is one.

    Raises ConfigError, no_gpu, where cuda is asked for and there is no GPU.
    """
    import torch  # configurations read the names above without it

    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise DEVICE("no_gpu")
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")
