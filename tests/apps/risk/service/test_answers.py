"""Scores as JSON: all digits, null for what is not there."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa

from apps.risk.api import RowsOfScores
from apps.risk.scoring.score_rows import Refused
from apps.risk.scoring.scores import LAYOUT
from apps.risk.service.answers import answer_of


def test_numbers_keep_their_digits_and_what_is_missing_is_null() -> None:
    values = {
        "kind": "entity",
        "entity": "Müller",
        "target": "gain",
        "step": 1,
        "model": "m",
        "q_500": 0.1 + 0.2,
    }
    rows = pa.Table.from_pylist([values], schema=LAYOUT.schema)
    rejected = pd.DataFrame(
        {
            "row": [3],
            "code": ["time_value"],
            "column": ["day"],
            "sentence": ["no time"],
            "entity": [None],
            "content": ["x"],
        }
    )
    refused = (Refused("entity", "b", "gain", "constant", "all the same"),)
    scored = RowsOfScores(rows, refused, rejected, "2024-01-01", ("a note",), {"targets": "2008-01-01"})
    text = answer_of(scored, "records")
    assert b"0.30000000000000004" in text
    assert text.isascii()
    content = json.loads(text)
    [row] = content["scores"]
    assert list(row) == LAYOUT.schema.names
    assert (row["entity"], row["pd"], row["time"]) == ("Müller", None, None)
    assert content["rejected"] == [
        {"row": 3, "entity": None, "column": "day", "code": "time_value", "sentence": "no time"}
    ]
    assert content["refused"][0]["code"] == "constant"
    assert (content["notes"], content["seen_in_training"]) == (["a note"], {"targets": "2008-01-01"})
    assert json.loads(answer_of(scored, "columns"))["scores"]["q_500"] == [0.1 + 0.2]
