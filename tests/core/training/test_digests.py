from __future__ import annotations

import numpy as np
import torch

from core.training.digests import arrays_digest, weights_digest


def test_half_precision_and_order_do_not_count() -> None:
    weights = {"a": torch.rand(3, 4), "b": torch.rand(5)}
    rounded = {name: tensor.half() for name, tensor in weights.items()}
    assert weights_digest(rounded) == weights_digest({n: t.float() for n, t in reversed(rounded.items())})
    assert weights_digest(rounded) != weights_digest(weights)


def test_values_shapes_types_and_order_of_arrays_count() -> None:
    one, two = np.arange(6), np.array(["a", "b"])
    kept = arrays_digest([one, two])
    assert kept == arrays_digest([one.copy(), two.copy()])
    changed = [[two, one], [one.reshape(2, 3), two], [one.astype(np.int32), two], [one + 1, two], [one]]
    assert len({kept, *map(arrays_digest, changed)}) == 6
    assert arrays_digest([one[::2]]) == arrays_digest([one[::2].copy()])
