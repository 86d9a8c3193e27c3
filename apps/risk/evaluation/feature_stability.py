"""How far each feature of the clients has moved between two groups of them: the stability index, feature by feature.

Legend: B clients of the reference, C clients of the current group, W features.
"""

from __future__ import annotations

import numpy as np

from apps.risk.data.columns import Columns
from apps.risk.data.features import Features, pick, telling
from apps.risk.metrics.stability import categorical_stability, numeric_stability


def feature_stability(reference: Features, current: Features, columns: Columns) -> dict[str, float]:
    """Return feature → PSI of all that differ between any clients; largest first, equal ones by name.

    A static category is compared word by word; a number by tenths of the reference; of a number that was never known
    in the reference, how often it is known. Raises ValueError for features that differ or a group without clients.
    """
    if reference.names != current.names:
        raise ValueError(f"features are {reference.names} and {current.names}, wanted the same")
    names = telling(Features(reference.names, np.concatenate([reference.x_BW, current.x_BW])))
    psi = {}
    before_WB, now_WC = pick(reference, names).T, pick(current, names).T
    for name, before_B, now_C in zip(names, before_WB, now_WC, strict=True):
        if name in columns.statics:
            index = categorical_stability(before_B, now_C)
        elif np.isnan(before_B).all():
            index = categorical_stability(np.isnan(before_B), np.isnan(now_C))
        else:
            index = numeric_stability(before_B, now_C)
        psi[name] = index.psi
    return dict(sorted(psi.items(), key=lambda item: (-item[1], item[0])))
