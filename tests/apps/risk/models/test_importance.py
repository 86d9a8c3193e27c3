"""Importance by shuffling, on models of which it is known what they look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from apps.risk.data.panel import Panel
from apps.risk.models.forecast import PathForecast
from apps.risk.models.importance import permutation_importance
from tests.apps.risk.models.driven import driven, driven_panel

NAMES = ["seen", "noise", "due.sum", "kind", "age"]


@dataclass(frozen=True)
class Formula:
    """Looks at the columns named, and at nothing else; refuses the entities named."""

    due: float = 0.0
    age: float = 0.0
    kind: float = 0.0
    seen: float = 0.0
    refuses: tuple[str, ...] = ()
    name: str = "formula"

    def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
        ahead_N = panel.offset_N1[:-1] + panel.past_N
        row_NH = ahead_N[:, None] + np.arange(horizon)
        due_NH = panel.value_RF[row_NH, panel.columns.features.index("due.sum")]
        last_N = panel.value_RF[ahead_N - 1, panel.columns.features.index("seen")]
        center_NH = self.due * due_NH + self.age * panel.number_NM[:, :1] + self.kind * panel.code_NS[:, :1]
        center_NH[:, 0] += self.seen * last_N
        refused_N = np.isin(panel.entities, self.refuses)
        center_NH[refused_N] = np.nan
        noise_S11 = 0.3 * np.random.default_rng(seed).normal(size=(paths, 1, 1))
        return PathForecast(
            center_NH + noise_S11, tuple("too_short" if refused else "" for refused in refused_N)
        )


def importance(model: Formula, entities: int = 6, **fields: int) -> dict[str, float]:
    return permutation_importance(model, driven_panel(driven(entities)), "target", 3, **fields)


def test_a_model_that_looks_at_one_column_owes_all_to_it() -> None:
    result = importance(Formula(due=2.0))
    assert list(result) == NAMES
    assert result["due.sum"] > 0.5
    assert [result[name] for name in ("seen", "noise", "kind", "age")] == [0.0] * 4


def test_an_observed_column_counts_by_its_past() -> None:
    result = importance(Formula(due=2.0, seen=1.0), entities=40)
    assert result["due.sum"] > result["seen"] > 0.05
    assert result["noise"] == 0.0


@pytest.mark.parametrize(("name", "model"), [("age", Formula(age=-1.0)), ("kind", Formula(kind=4.0))])
def test_statics_are_shuffled_over_entities(name: str, model: Formula) -> None:
    result = importance(model, seed=2)
    assert [other for other in NAMES if result[other] != 0.0] == [name]


def test_it_looks_at_what_came_after_the_date_to_which_it_went_back() -> None:
    """The plain twin: by how much the loss of the last three days grows when the column is shuffled."""
    table = driven(1)
    panel = driven_panel(table)  # the past ends on row 79: the days forecast are rows 77 to 79
    model, levels = Formula(due=2.0), np.array([0.05, 0.25, 0.5, 0.75, 0.95])

    def loss(due_R: np.ndarray) -> float:
        noise = 0.3 * np.random.default_rng(0).normal(size=200)
        total = 0.0
        for row in (77, 78, 79):
            actual = float(panel.value_RF[row, 0])
            for level in levels:
                quantile = np.sort(2.0 * due_R[row] + noise)[round(200 * level) - 1]
                total += max(level * (actual - quantile), (level - 1) * (actual - quantile))
        return total

    due_R = panel.value_RF[:, 3]
    shuffled_R = np.random.default_rng([0, 1, 2]).permutation(due_R)  # the third of its covariates
    wanted = loss(shuffled_R) / loss(due_R) - 1
    assert importance(model, entities=1)["due.sum"] == pytest.approx(wanted, rel=1e-5)


def test_refused_series_and_missing_outcomes_do_not_count() -> None:
    panel = driven_panel()
    whole = permutation_importance(Formula(due=2.0, refuses=("e5",)), panel, "target", 3)
    table = driven()
    table.loc[(table["entity"] == "e5"), "target"] = np.nan
    assert permutation_importance(Formula(due=2.0), driven_panel(table), "target", 3) == pytest.approx(whole)
    assert np.isfinite(list(whole.values())).all()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_nothing_is_reported_where_nothing_can_be_judged(value: float) -> None:
    class Exact(Formula):
        def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
            return PathForecast(np.zeros((paths, len(panel.entities), horizon)), ("",) * len(panel.entities))

    panel = driven_panel(driven().assign(target=value))
    assert permutation_importance(Exact(), panel, "target", 3) == {}


def test_only_so_many_entities_are_looked_at() -> None:
    seen: list[int] = []

    class Counting(Formula):
        def forecast(self, panel: Panel, label: str, horizon: int, paths: int, seed: int) -> PathForecast:
            seen.append(len(panel.entities))
            return super().forecast(panel, label, horizon, paths, seed)

    permutation_importance(Counting(due=2.0), driven_panel(), "target", 3, most=4)
    assert seen == [4] * (1 + len(NAMES))


def test_the_panel_stays_as_it_is() -> None:
    panel = driven_panel()
    copy = replace(panel, value_RF=panel.value_RF.copy(), code_NS=panel.code_NS.copy())
    permutation_importance(Formula(due=2.0, kind=1.0), panel, "target", 3)
    assert np.array_equal(panel.value_RF, copy.value_RF, equal_nan=True)
    assert np.array_equal(panel.code_NS, copy.code_NS)
