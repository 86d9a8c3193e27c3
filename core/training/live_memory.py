"""Bytes of tensors that live at one time while a piece of code runs, without the allocator's rounding."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """A mode that follows which storages live: each counts from the operation that first returns it to its end.

    left_out: tensors that are not counted, nor what shares their storage. Tensors may be without content
    (FakeTensorMode, entered before this mode).
    """

    def __init__(self, left_out: Sequence[Tensor]) -> None:
        super().__init__()
        self._events: list[tuple[int, int]] = []
        self._living: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._left_out = {x.untyped_storage()._cdata for x in left_out}
        self._gradients: set[int] = set()
        self._count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return output

    def _note(self, x: Tensor) -> None:
        storage = x.untyped_storage()
        key = storage._cdata
        if key in self._left_out or key in self._living:
            return
        self._count += 1
        number, size = self._count, storage.nbytes()
        self._events.append((number, size))

        def gone(_: Any) -> None:
            self._living.pop(key, None)
            self._events.append((number, -size))

        self._living[key] = weakref.ref(storage, gone), number

    def forget(self, weight: Tensor) -> None:
        """Let go of the gradient of a weight, and leave it out: a hook for register_post_accumulate_grad_hook."""
        assert weight.grad is not None
        noted = self._living.get(weight.grad.untyped_storage()._cdata)
        if noted is not None:
            self._gradients.add(noted[1])
        weight.grad = None

    def peak(self) -> int:
        """Return the most bytes that lived at one time, of what is not left out."""
        now = largest = 0
        for number, size in self._events:
            if number not in self._gradients:
                now += size
                largest = max(largest, now)
        return largest
