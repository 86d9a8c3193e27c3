"""Roles of columns: from a mapping, from YAML, and what is said of names that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.data.columns import Columns, columns_from, read_columns
from core.errors import ConfigError, InputError


def test_features_follow_the_order_of_a_panel() -> None:
    columns = Columns(
        entity="client",
        time="month",
        targets=("balance",),
        event="default",
        observed=("paid",),
        known=("due",),
        statics=("sex",),
        static_numbers=("age",),
        known_at="booked",
    )
    assert columns.labels == ("balance", "default")
    assert columns.features == ("balance", "default", "paid", "due")
    assert columns.all == ("client", "month", "booked", "balance", "default", "paid", "due", "sex", "age")


def test_a_mapping_takes_lists_and_texts() -> None:
    columns = columns_from(
        {"entity": "client", "time": None, "targets": "a, b", "known": ["c", "d"], "zone": ""}
    )
    assert columns == Columns(entity="client", targets=("a", "b"), known=("c", "d"))


def test_an_event_alone_is_enough_to_forecast() -> None:
    assert columns_from({"event": "default"}).labels == ("default",)
    assert columns_from({"event": "default", "targets": "balance"}).labels == ("balance", "default")


def test_yaml_and_mapping_agree(tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    path.write_text("entity: client\ntargets: [loss]\nzone: Europe/Berlin\n", encoding="utf-8")
    assert read_columns(path) == Columns(entity="client", targets=("loss",), zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"entiti": "client"}, 'columns has no "entiti": did you mean "entity"?'),
        ({"entity": "x", "time": "x"}, 'column "x" has two roles: give each column one role'),
        ({"targets": []}, "nothing to forecast: name a column in targets, or an event"),
        ({"zone": "Europe/Berlln"}, "zone=Europe/Berlln is not a time zone"),
        ({"zone": "../etc"}, "zone=../etc is not a time zone"),
        ({"entity": ["a", "b"]}, "columns.entity takes one name, not 2"),
        ({"targets": 3}, "columns.targets=3 is not a valid list of column names"),
        ({"targets": "__fault__"}, 'a column may not be called "__fault__"'),
    ],
)
def test_a_wrong_mapping_is_refused(content: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        columns_from(content)
    assert sentence in caught.value.sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"entity: [", "is not valid YAML in UTF-8"),
        (b"entity: \xff", "is not valid YAML in UTF-8"),
        (b"client", "holds no roles: wanted lines such as 'entity: client'"),
        (b"entiti: client", 'columns.yaml has no "entiti": did you mean "entity"?'),
    ],
)
def test_a_wrong_file_is_refused(text: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "columns.yaml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        read_columns(path)
    assert sentence in caught.value.sentence


def test_a_missing_column_names_the_nearest_one() -> None:
    columns = Columns(targets=("balance",))
    columns.require(["entity", "time", "balance", "more"])
    with pytest.raises(
        InputError,
        match=r'^the table has no column "balance": did you mean "Balnce"\? \(columns missing: 1\)$',
    ):
        columns.require(["entity", "time", "Balnce"])
    with pytest.raises(
        InputError, match=r'^loans has no column "entity": there are x, y \(columns missing: 3\)$'
    ):
        columns.require(["x", "y"], "loans")
