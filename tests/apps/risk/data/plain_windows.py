"""The plain twin of the gather: one window at a time, one row at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from apps.risk.data.panel import Panel
from apps.risk.data.windows import Batch, Windows


def plain_window(panel: Panel, entity: int, origin: int, context: int, horizon: int) -> dict[str, np.ndarray]:
    """Return values and masks of one window; outputs begin as NaN, so that a row left out shows."""
    features = panel.value_RF.shape[1]
    labels, known = len(panel.columns.labels), len(panel.columns.known)
    value = np.full((context + horizon, features), np.nan, dtype=np.float64)
    mask = np.zeros((context + horizon, features), dtype=bool)
    for index in range(context + horizon):
        row = origin - context + index
        for feature in range(features):
            inside = panel.offset_N1[entity] <= row < panel.offset_N1[entity + 1]
            mask[index, feature] = inside and not np.isnan(panel.value_RF[row, feature])
            value[index, feature] = panel.value_RF[row, feature] if mask[index, feature] else 0.0
    return {
        "past_BCF": value[:context],
        "past_known_BCF": mask[:context],
        "ahead_BHK": value[context:, features - known :],
        "ahead_known_BHK": mask[context:, features - known :],
        "label_BHT": value[context:, :labels],
        "label_known_BHT": mask[context:, :labels],
        "length_B": np.array(min(context, origin - panel.offset_N1[entity])),
        "code_BS": panel.code_NS[entity],
        "number_BM": panel.number_NM[entity],
        "entity_B": np.array(entity),
        "origin_B": np.array(origin),
    }


def plain_origins(panel: Panel, horizon: int, shortest: int) -> list[int]:
    """Return the origin of each window, by asking of each row whether it can be one."""
    out = []
    for entity in range(len(panel.entities)):
        first = int(panel.offset_N1[entity])
        past_end = first + int(panel.past_N[entity])
        out += [
            origin
            for origin in range(first, past_end + 1)
            if first + shortest <= origin <= past_end - horizon
        ]
    return out


def in_order(windows: Windows, size: int) -> Iterator[Batch]:
    """Yield all windows once, in batches of at most `size`."""
    for first in range(0, len(windows), size):
        yield windows.gather(windows.origins(np.arange(first, min(first + size, len(windows)))))
