"""The file of riskformer's weights in a model folder, written and read in one way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from apps.risk.reasons import INPUTS
from core.errors import InputError
from core.runs.files import make_folder, write_bytes

NETWORK = "riskformer.safetensors"


def write_network(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the file, whole or not at all."""
    write_bytes(
        make_folder(folder) / NETWORK, save({name: value.contiguous() for name, value in tensors.items()})
    )


def read_network(folder: Path) -> dict[str, Tensor]:
    """Read the file. Raises InputError, weights_unreadable, where it is missing or damaged."""
    try:
        return load_file(folder / NETWORK)
    except (OSError, SafetensorError) as error:
        raise unreadable(folder) from error


def load_weights(net: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Give a network its weights, all of them. Raises InputError, weights_unreadable, where they are another's."""
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise unreadable(folder) from error


def unreadable(folder: Path) -> InputError:
    """Return what to raise where the file is not what the folder's description says."""
    return INPUTS("weights_damaged", path=folder / NETWORK)
