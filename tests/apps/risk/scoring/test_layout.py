"""Layouts: keys that can be compared, and tables brought to their types."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from apps.risk.scoring.layout import Layout, fit
from core.errors import InternalFault
from tests.apps.risk.scoring.partitions import LAYOUT, scores


def test_a_layout_needs_a_key_that_can_be_compared() -> None:
    for key in ((), ("none",)):
        with pytest.raises(InternalFault, match="the key must name columns"):
            dataclasses.replace(LAYOUT, key=key)
    with pytest.raises(InternalFault, match="no floating-point number"):
        dataclasses.replace(LAYOUT, key=("var",))
    with pytest.raises(InternalFault, match="as_of, as_of_time, scoring may be none"):
        Layout(LAYOUT.schema.append(pa.field("as_of", pa.date32())), ("entity",))


def test_columns_take_the_layouts_order_and_types_and_nan_becomes_null() -> None:
    frame = scores(3).assign(step=np.arange(6, dtype=np.int64))[["var", "code", "step", "entity"]]
    table = fit(frame, LAYOUT)
    assert table.schema == LAYOUT.schema
    assert table.column("var").null_count == 2
    assert fit(pa.Table.from_pandas(frame, preserve_index=False), LAYOUT) == table


def test_a_chunk_of_other_columns_is_a_fault() -> None:
    frame = pd.DataFrame({"entity": ["a"]})
    with pytest.raises(InternalFault, match="not those of the layout: code, step, var") as caught:
        fit(frame, LAYOUT)
    assert caught.value.code == "score_columns"
