"""Each feature is compared by its type, and one that moved stands first."""

from __future__ import annotations

import numpy as np
import pytest

from apps.risk.data.columns import Columns
from apps.risk.data.features import Features
from apps.risk.evaluation.feature_stability import feature_stability
from apps.risk.metrics.stability import categorical_stability, numeric_stability

COLUMNS = Columns(
    entity="who", time="day", targets=(), event="bad", observed=("bill",), statics=("branch",), known=()
)
NAMES = ("bill[-1]", "branch", "bad[-1]", "bill.trend")


def group(seed: int, shift: float = 0.0, branches: tuple[float, ...] = (1.0, 2.0, 3.0)) -> Features:
    generator = np.random.default_rng(seed)
    bill_B, branch_B = generator.normal(shift, size=400), generator.choice(branches, 400)
    never_B = np.full(400, np.nan)
    return Features(NAMES, np.stack([bill_B, branch_B, np.zeros(400), never_B], axis=1))


def test_a_number_goes_by_tenths_and_a_category_by_its_words() -> None:
    one, other = group(0), group(1, branches=(1.0, 3.0))
    stability = feature_stability(one, other, COLUMNS)
    assert list(stability) == ["branch", "bill[-1]"], "what is the same for all is left out"
    assert stability["bill[-1]"] == numeric_stability(one.x_BW[:, 0], other.x_BW[:, 0]).psi < 0.1
    assert stability["branch"] == categorical_stability(one.x_BW[:, 1], other.x_BW[:, 1]).psi > 0.25
    # by tenths a missing middle category would look otherwise: codes are no numbers
    assert stability["branch"] != numeric_stability(one.x_BW[:, 1], other.x_BW[:, 1]).psi
    assert next(iter(feature_stability(one, group(1, shift=2.0), COLUMNS))) == "bill[-1]"


def test_of_what_was_never_known_it_counts_how_often_it_is_known_now() -> None:
    one, other = group(0), group(1)
    other.x_BW[:100, 3] = 0.5
    # 400 against 300 missing and 100 known, half an observation added to each bin of either side
    before, now = np.array([400.5, 0.5]) / 401, np.array([300.5, 100.5]) / 401
    wanted = float(np.sum((now - before) * np.log(now / before)))
    assert feature_stability(one, other, COLUMNS)["bill.trend"] == pytest.approx(wanted)


def test_other_features_are_refused() -> None:
    one = group(0)
    with pytest.raises(ValueError, match="wanted the same"):
        feature_stability(one, Features(NAMES[:3], one.x_BW[:, :3]), COLUMNS)
