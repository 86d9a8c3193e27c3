from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.select import select
from core.errors import InputError
from tests.apps.risk.data.panels import COLUMNS, frame, panel_of

TABLE = frame(
    ("a", 1, 1.0, 10.0, 0.1, "x", 30), ("a", 2, 2.0, 20.0, 0.2, "y", 31), ("b", 1, 3.0, 30.0, 0.3, "z", 40)
)
OTHER = Columns(
    entity="client",
    targets=("target",),
    observed=("seen",),
    known=("due",),
    statics=("kind",),
    static_numbers=("age",),
)


def test_columns_in_another_order_and_others_beside_them_are_put_right() -> None:
    wider = Columns(
        targets=("extra", "target"),
        observed=("more", "seen"),
        known=("due",),
        statics=("region", "kind"),
        static_numbers=("size", "age"),
    )
    table = TABLE.assign(extra=7.0, more=8.0, region="r", size=9.0)
    panel = panel_of(table, wider)
    result, wanted = select(panel, OTHER, {"kind": ("x", "y", "z")}), panel_of(TABLE)
    assert result.columns == COLUMNS  # the key is this table's own
    assert np.array_equal(result.value_RF, wanted.value_RF)
    assert result.value_RF.flags.c_contiguous
    assert np.array_equal(result.code_NS, wanted.code_NS)
    assert np.array_equal(result.number_NM, wanted.number_NM)
    assert result.entities == wanted.entities


def test_codes_are_those_of_the_training() -> None:
    panel = panel_of(TABLE)  # x 1, y 2, z 3
    result = select(panel, OTHER, {"kind": ("z", "w")})
    assert panel.code_NS[:, 0].tolist() == [2, 3]
    assert result.code_NS[:, 0].tolist() == [0, 1]  # y was not there, z is the first
    assert result.categories == {"kind": ("z", "w")}


def test_the_rows_of_the_same_features_are_not_copied() -> None:
    panel = panel_of(TABLE)
    assert select(panel, OTHER, panel.categories).value_RF is panel.value_RF


@pytest.mark.parametrize(
    ("columns", "name", "role"),
    [
        (Columns(observed=("seen",), known=("due", "fee"), statics=("kind",)), "fee", "label or feature"),
        (Columns(observed=("age",)), "age", "label or feature"),
        (Columns(statics=("kind", "region")), "region", "static"),
        (Columns(static_numbers=("seen",)), "seen", "static number"),
    ],
)
def test_a_column_that_is_missing_or_has_another_role_is_named(
    columns: Columns, name: str, role: str
) -> None:
    with pytest.raises(InputError, match=f'trained with "{name}" as {role}, which the table') as caught:
        select(panel_of(TABLE), columns, {"kind": (), "region": ()})
    assert caught.value.code == "schema_lacks"
