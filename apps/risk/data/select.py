"""A panel seen by a model that was trained on another table: the model's columns, in its order, with its codes.

Legend: N entities, R rows, F features, S statics, M static numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from apps.risk.data.columns import Columns
from apps.risk.data.panel import UNSEEN, Categories, Panel
from apps.risk.reasons import INPUTS


def select(panel: Panel, columns: Columns, categories: Categories) -> Panel:
    """Return the panel with the columns and the categories of a training; others are left out.

    columns: of their roles only those of columns with values count (labels to static numbers). A word that was not
    there in training is UNSEEN. The rows are not copied where the features are the same.
    Raises InputError, schema_differs, naming the first column that is missing or has another role.
    """
    has = panel.columns
    feature_F = _positions("label or feature", columns.features, has.features)
    static_S = _positions("static", columns.statics, has.statics)
    number_M = _positions("static number", columns.static_numbers, has.static_numbers)
    code_NS = np.full((len(panel.entities), len(static_S)), UNSEEN, dtype=np.int64)
    for index, (name, position) in enumerate(zip(columns.statics, static_S, strict=True)):
        number = {word: code for code, word in enumerate(categories[name], start=UNSEEN + 1)}
        renamed = np.array([UNSEEN, *(number.get(word, UNSEEN) for word in panel.categories[name])])
        code_NS[:, index] = renamed[panel.code_NS[:, position]]
    return replace(
        panel,
        columns=replace(columns, entity=has.entity, time=has.time),
        categories=categories,
        value_RF=panel.value_RF
        if columns.features == has.features
        else np.ascontiguousarray(panel.value_RF[:, feature_F]),
        code_NS=code_NS,
        number_NM=panel.number_NM[:, number_M],
    )


def _positions(role: str, wanted: Sequence[str], given: Sequence[str]) -> list[int]:
    for name in wanted:
        if name not in given:
            raise INPUTS("schema_lacks", column=name, role=role)
    return [given.index(name) for name in wanted]
