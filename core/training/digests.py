"""What says that two networks, or two sets of training data, are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
from torch import Tensor


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a network's weights as float32, whichever file and precision they came from."""
    whole = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        whole.update(name.encode())
        whole.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


def arrays_digest(arrays: Iterable[np.ndarray]) -> str:
    """Return the SHA-256 of arrays in their order: types, shapes, values."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.dtype.str}{array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()
