"""Holdings as read from a CSV: weights by entity, what is lacking, and each fault in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apps.risk.data.holdings import holdings_of, read_holdings
from core.errors import InputError


def written(tmp_path: Path, *lines: str, head: str = "portfolio,entity,weight") -> Path:
    path = tmp_path / "held.csv"
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_weights_stand_at_their_entities_and_names_stay_text(tmp_path: Path) -> None:
    held = read_holdings(written(tmp_path, "z,007,0.5", "a,b,-1", "z,b,0.25", "z,gone,0"))
    assert held.portfolios == ("a", "z")
    weight_PN = held.weight_PN(("007", "b", "c"))
    np.testing.assert_array_equal(weight_PN, [[0.0, -1.0, 0.0], [0.5, 0.25, 0.0]])
    assert list(held.lacks(("007", "b"))) == [False, False], "a weight of 0 is not looked for"
    assert list(held.lacks(("b",))) == [False, True]


@pytest.mark.parametrize(
    ("lines", "head", "sentence"),
    [
        (["p,a"], "portfolio,entity", 'has no column "weight": wanted portfolio, entity, weight'),
        ([], "portfolio,entity,weight", "has no row"),
        (["p,a,1", "p,b,x"], "portfolio,entity,weight", "line 3: wanted a portfolio, an entity and a finite"),
        (["p,a,inf"], "portfolio,entity,weight", "line 2: wanted a portfolio"),
        (["p,,1"], "portfolio,entity,weight", "line 2: wanted a portfolio"),
        (["p,a,1", "p,a ,2"], "portfolio,entity,weight", "line 3: this holding is there twice"),
        (["p,a,1,2,3"], "portfolio", "no column"),
    ],
)
def test_a_fault_is_one_line(lines: list[str], head: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        read_holdings(written(tmp_path, *lines, head=head))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_holdings(tmp_path / "none.csv")
    (tmp_path / "held.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not valid CSV in UTF-8"):
        read_holdings(tmp_path / "held.csv")


def test_a_mapping_holds_as_its_file_does(tmp_path: Path) -> None:
    path = tmp_path / "held.csv"
    path.write_text("portfolio,entity,weight\nb,x,1\na,y,-0.5\na,x,2\n")
    mapped, read = holdings_of({"b": {"x": 1}, "a": {"y": -0.5, "x": 2.0}}), read_holdings(path)
    assert mapped.portfolios == read.portfolios == ("a", "b")
    np.testing.assert_array_equal(mapped.weight_PN(["x", "y", "z"]), read.weight_PN(["x", "y", "z"]))
    with pytest.raises(InputError, match='the weight of "x" in "a" is not finite: nan') as caught:
        holdings_of({"a": {"x": float("nan")}})
    assert caught.value.code == "portfolio_weight"
