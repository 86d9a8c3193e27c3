from __future__ import annotations

from core.export.ports import Axis


def test_an_axis_allows_multiples_between_its_ends() -> None:
    axis = Axis("H", 8, 24, 8)
    assert [size for size in range(40) if axis.allows(size)] == [8, 16, 24]
    assert axis.allowed() == "8 to 24 in steps of 8"
    assert Axis("B", 1, 4).allowed() == "1 to 4"
