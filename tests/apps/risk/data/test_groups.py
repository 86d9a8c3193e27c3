"""Groups are those of the table: slices part none, one that is too large is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from apps.risk.data import groups
from apps.risk.data.asof import view
from apps.risk.data.columns import Columns
from apps.risk.data.contracts import check
from apps.risk.data.groups import slices, together
from apps.risk.data.panel import ALONE, Panel, build_panel
from core.errors import InputError

SECTORS = {"a": "oil", "b": "bank", "c": None, "d": "oil", "e": "bank", "f": "bank"}


def panel_of(shuffled: bool = False) -> Panel:
    days = pd.date_range("2024-01-01", periods=3)
    table = pd.DataFrame(
        [(name, day, 1.0 * n, word) for name, word in SECTORS.items() for n, day in enumerate(days)],
        columns=["entity", "time", "target", "sector"],
    )
    table.loc[(table["entity"] == "d") & (table["time"] == days[-1]), "sector"] = None
    columns = Columns(group="sector")
    table = table.sample(frac=1.0, random_state=1) if shuffled else table
    return build_panel(view(check(table, columns).accepted, columns), columns)


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_group_of_a_series_is_its_last_known_word(shuffled: bool) -> None:
    group_N = panel_of(shuffled).group_N
    assert group_N is not None
    assert group_N[2] == ALONE
    assert [members.tolist() for members in together(group_N, 6)] == [[[2]], [[0, 3]], [[1, 4, 5]]]


def test_without_a_group_each_is_alone() -> None:
    assert [members.tolist() for members in together(None, 3)] == [[[0], [1], [2]]]


@pytest.mark.parametrize(
    ("chunk", "wanted"),
    [
        (1, ["ad", "bef", "c"]),
        (3, ["ad", "bef", "c"]),
        (4, ["ad", "befc"]),
        (5, ["adbef", "c"]),
        (9, ["abcdef"]),
    ],
)
def test_no_slice_parts_a_group(chunk: int, wanted: list[str]) -> None:
    panel = panel_of()
    assert [piece.entities for piece in slices(panel, chunk)] == [tuple(sorted(names)) for names in wanted]
    alone = [piece.entities for piece in slices(replace(panel, group_N=None), 4)]
    assert alone == [("a", "b", "c", "d"), ("e", "f")]


def test_a_group_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST", 3)
    assert together(np.array([0, 0, 0, ALONE, ALONE, ALONE, ALONE]), 7)[1].shape == (1, 3)
    with pytest.raises(InputError, match="has 4 series, and at most 3 are taken together") as caught:
        together(np.array([0, 0, 0, 0, ALONE]), 5)
    assert caught.value.code == "group_too_large"
