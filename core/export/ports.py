"""What goes into a network and comes out of it: ports, and the axes along which their sizes vary; free of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A dimension that varies. least, most: smallest and largest size; step: every size is a multiple of it."""

    name: str
    least: int
    most: int
    step: int = 1

    def allows(self, size: int) -> bool:
        """Tell whether a size is allowed."""
        return self.least <= size <= self.most and size % self.step == 0

    def allowed(self) -> str:
        """Return the sizes that are allowed, in words."""
        multiples = f" in steps of {self.step}" if self.step > 1 else ""
        return f"{self.least} to {self.most}{multiples}"


@dataclass(frozen=True)
class Port:
    """An input or output: dims are fixed sizes or names of axes; of an output also a word such as "D/4".

    dtype: of PyTorch, as text ("float32"). low, high: range of the values; None where any finite one is allowed.
    """

    name: str
    dims: tuple[int | str, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
