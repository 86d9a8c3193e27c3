"""riskformer of one table: it follows what drives a target, sees nothing of the future, comes back from its folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from apps.risk.data.columns import Columns
from apps.risk.data.history import known_until
from apps.risk.data.panel import Panel, fill_gaps, part
from apps.risk.models.feed import Levels
from apps.risk.models.forecast import PathForecast
from apps.risk.models.network_file import write_network
from apps.risk.models.residual_tails import LEVELS, Tails
from apps.risk.models.riskformer_covariates import (
    RiskformerCovariates,
    covered,
    origins_at,
    recoded,
    require_same,
)
from core.errors import InputError
from tests.apps.risk.data.panels import panel_of, ragged
from tests.apps.risk.models.covariates import AS_OF, DAYS, ENTITIES, HORIZON, trained, untrained, whole
from tests.apps.risk.models.driven import COLUMNS, driven

KNOWN_STEPS = 135  # of AS_OF
SHOWN = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def ask(
    model: RiskformerCovariates, panel: Panel, horizon: int = HORIZON, label: str = "target"
) -> PathForecast:
    return model.forecast(panel, label, horizon, 200, 0)


def median_NH(model: RiskformerCovariates, panel: Panel, horizon: int = HORIZON) -> np.ndarray:
    return ask(model, panel, horizon).quantile_NHQ(np.array([0.5]))[..., 0]


def changed(panel: Panel, column: str, first_step: int, add: float) -> Panel:
    """Add to the values of a column from a step on."""
    value_RF = panel.value_RF.copy()
    value_RF[panel.step_R >= first_step, panel.columns.features.index(column)] += add
    return replace(panel, value_RF=value_RF)


def losses(columns: Columns) -> tuple[float, float]:
    """Return the mean pinball loss on dates that were not learned from, and the median's correlation."""
    model, panel = trained(columns), whole(columns)
    came_NT = panel.value_RF[:, 0].reshape(ENTITIES, DAYS)
    result, seen = [], []
    for step in range(KNOWN_STEPS, DAYS - HORIZON):
        quantile_NHQ = ask(model, known_until(panel, step)).quantile_NHQ(SHOWN)
        came_NH = came_NT[:, step : step + HORIZON]
        error = came_NH[..., None] - quantile_NHQ
        result.append(np.maximum(SHOWN * error, (SHOWN - 1.0) * error).mean())
        seen.append((quantile_NHQ[..., 2], came_NH))
    median, came = (np.concatenate([pair[index].ravel() for pair in seen]) for index in (0, 1))
    return float(np.mean(result)), float(np.corrcoef(median, came)[0, 1])


def test_a_target_follows_its_covariates_where_a_series_alone_cannot() -> None:
    """By the law of `driven` the least loss is .20 with its columns, and .56 from the past of the target alone."""
    loss, correlation = losses(COLUMNS)
    loss_alone, correlation_alone = losses(Columns())
    assert loss < 0.33
    assert correlation > 0.8
    assert loss_alone > 0.5
    assert abs(correlation_alone) < 0.2


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_is_known_of_a_step_ahead_moves_that_step(ahead: int) -> None:
    """The law of `driven`: one more of due.sum is two more of the target."""
    seen = known_until(whole(), KNOWN_STEPS)
    only = changed(
        changed(seen, "due.sum", KNOWN_STEPS + ahead, 1.0), "due.sum", KNOWN_STEPS + ahead + 1, -1.0
    )
    moved_H = np.median(median_NH(trained(), only) - median_NH(trained(), seen), axis=0)
    assert 1.2 < moved_H[ahead] < 2.8
    assert np.abs(np.delete(moved_H, ahead)).max() < 0.5


def test_nothing_of_the_future_changes_a_byte() -> None:
    table = driven(ENTITIES, DAYS)
    before = ask(trained(), panel_of(table, COLUMNS, AS_OF))
    later = (table["time"] > AS_OF).to_numpy()
    for seed in range(5):
        rng, other = np.random.default_rng(seed), table.copy()
        for name in ("target", "seen", "noise", "age"):
            other.loc[later, name] = 10.0 ** rng.uniform(-3, 6) * rng.normal(size=later.sum())
        other.loc[later, "kind"] = rng.choice(["x", "y", "news"], size=later.sum())
        after = ask(trained(), panel_of(other, COLUMNS, AS_OF))
        assert after.path_SNH.tobytes() == before.path_SNH.tobytes()
    moved = table.assign(**{"due.sum": table["due.sum"] + 0.5 * later})
    assert not np.array_equal(ask(trained(), panel_of(moved, COLUMNS, AS_OF)).path_SNH, before.path_SNH)


def test_statics_change_a_forecast() -> None:
    seen = known_until(whole(), KNOWN_STEPS)
    before = median_NH(trained(), seen)
    for other in (
        replace(seen, code_NS=3 - seen.code_NS),
        replace(seen, number_NM=seen.number_NM[::-1].copy()),
    ):
        assert np.abs(median_NH(trained(), other) - before).max() > 1e-3


def test_slices_answer_as_the_whole_does() -> None:
    seen = known_until(whole(), KNOWN_STEPS)
    result = ask(trained(), seen).path_SNH
    for first in (0, 5):
        some = ask(trained(), part(seen, first, first + 5)).path_SNH
        np.testing.assert_allclose(some, result[:, first : first + 5], rtol=1e-12, atol=1e-12)


def test_a_horizon_may_be_shorter_or_longer_than_that_of_the_training() -> None:
    seen = known_until(whole(), KNOWN_STEPS)
    result = median_NH(trained(), seen)
    np.testing.assert_array_equal(median_NH(trained(), seen, 1), result[:, :1])
    longer = ask(trained(), seen, 20).path_SNH
    assert longer.shape[1:] == (ENTITIES, 20)
    assert np.isfinite(longer).all()


def test_what_is_not_known_ahead_is_no_error() -> None:
    """A table that ends at its as-of date, one whose covariates are missing, and one that has none at all."""
    table = driven(ENTITIES, DAYS)
    seen = table[table["time"] <= AS_OF]
    result = [ask(trained(), panel_of(one, COLUMNS, AS_OF)) for one in (table, seen)]
    assert not np.array_equal(result[0].path_SNH, result[1].path_SNH)
    nothing = dict.fromkeys(("seen", "noise", "due.sum", "age"), np.nan)
    bare = ask(trained(), panel_of(seen.assign(**nothing, kind=None), COLUMNS, AS_OF))
    assert bare.reason_N == ("",) * ENTITIES
    assert np.isfinite(bare.path_SNH).all()


def test_what_cannot_be_forecast_is_refused_with_a_reason() -> None:
    table, rng = driven(6, 90), np.random.default_rng(0)
    day = table.groupby("entity").cumcount() + 1
    of = {
        name: table["entity"] == f"e{index}"
        for index, name in enumerate(["constant", "gaps", "ended", "nothing"])
    }
    table.loc[of["constant"], "target"] = 3.0
    table.loc[of["gaps"] & (rng.random(len(table)) < 0.3), "target"] = np.nan
    table.loc[of["nothing"], "target"] = np.nan
    ended = of["ended"] & (day > 60)
    short = (table["entity"] == "e4") & (day < 86)
    panel = panel_of(table[~ended & ~short], COLUMNS)
    forecast = ask(untrained(panel), panel)
    assert forecast.reason_N == ("constant", "", "all_missing", "all_missing", "too_short", "")
    refused_N = np.isnan(forecast.path_SNH).all(axis=(0, 2))
    assert refused_N.tolist() == [False, False, True, True, True, False]


def test_a_series_that_ended_is_forecast_from_the_as_of_date_on() -> None:
    """One whose last rows are missing is seen as one whose last values are, whatever is known ahead of it."""
    table = driven(3, 90)
    late = (table["entity"] == "e1") & table["time"].between("2024-03-17", "2024-03-20")
    blank = table.copy()
    blank.loc[late, ["target", "seen", "noise", "due.sum"]] = np.nan
    panels = [panel_of(one, COLUMNS, "2024-03-20") for one in (table[~late], blank)]
    model = untrained(panels[0])
    result = [ask(model, panel).path_SNH for panel in panels]
    np.testing.assert_array_equal(result[0], result[1])
    ahead = (table["entity"] == "e1") & (table["time"] > "2024-03-20")
    panels = [panel_of(one, COLUMNS, "2024-03-20") for one in (table[~late & ~ahead], blank[~ahead])]
    result = [ask(model, panel).path_SNH for panel in panels]
    np.testing.assert_array_equal(result[0], result[1])


def test_rows_of_steps_of_the_calendar() -> None:
    filled = fill_gaps(panel_of(ragged()))  # a: days 1 … 5; b: 2 … 5; c: 5; d: 1, 2
    assert filled.offset_N1.tolist() == [0, 5, 9, 10, 12]
    result_ND = origins_at(filled, np.array([0, 2, 5]))
    assert result_ND.tolist() == [[0, 2, 5], [5, 6, 9], [9, 9, 10], [10, 12, 15]]
    weekly = pd.DataFrame(
        {"entity": "a", "time": pd.date_range("2024-01-05", periods=6, freq="W"), "target": 1.0}
    )
    own = fill_gaps(panel_of(weekly.drop(3).assign(time=weekly["time"].dt.strftime("%Y-%m-%d")), Columns()))
    assert origins_at(own, np.array([0, 3, 5, 7])).tolist() == [[0, 3, 5, 7]]  # the week left out is a gap


def test_a_word_that_was_not_there_in_training_counts_as_unseen() -> None:
    table = driven(ENTITIES, DAYS)
    model, panel = trained(), panel_of(table, COLUMNS, AS_OF)
    other = panel_of(table.assign(kind=table["kind"].map({"x": "a new one", "y": "y"})), COLUMNS, AS_OF)
    assert other.categories["kind"] == ("a new one", "y")
    assert recoded(other, model.categories).code_NS[:, 0].tolist() == [0, 2] * 6
    result, wanted = ask(model, other).path_SNH, ask(model, panel).path_SNH
    np.testing.assert_array_equal(result[:, 1::2], wanted[:, 1::2])
    assert not np.allclose(result[:, ::2], wanted[:, ::2], atol=1e-3)


def test_a_table_of_other_columns_is_reported() -> None:
    model = trained()
    model.require(replace(COLUMNS, entity="name", time="day", known_at="since"))
    other = replace(COLUMNS, known=(), observed=("noise", "seen"))
    with pytest.raises(
        InputError, match="trained with observed seen, noise, the table has noise, seen: name"
    ) as caught:
        ask(model, whole(other))
    assert caught.value.code == "schema_differs"
    with pytest.raises(InputError, match=r"trained with known due\.sum, the table has none: name the same"):
        require_same(COLUMNS, replace(COLUMNS, known=()))
    assert model.knows(whole())
    assert not model.knows(whole(other))
    assert not model.knows(replace(whole(), categories={"kind": ("x",)}))


def test_a_walk_is_a_forecast_of_each_day_from_the_days_before() -> None:
    given = Tails(np.tile(np.linspace(-1.0, 1.0, 21), (1, 1)), (0.3, 0.1))
    model, panel = replace(trained(), tails={"target": given}), whole()
    walk = model.walk_panel(panel, "target", 10, every=1)
    assert walk.var_NDL.shape == (ENTITIES, 10, 3)
    assert (walk.es_NDL < walk.var_NDL).all()
    for day in (0, 4, 9):
        seen = known_until(panel, DAYS - 10 + day)
        single = model.forecast(seen, "target", 1, 1000, 0).tail(1)
        np.testing.assert_allclose(walk.var_NDL[:, day], single.var_NL, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(walk.es_NDL[:, day], single.es_NL, rtol=1e-4, atol=1e-5)
    spoiled = changed(changed(panel, "target", DAYS - 5, 1e3), "seen", DAYS - 5, 1e3)
    again = model.walk_panel(spoiled, "target", 10, every=1)
    np.testing.assert_array_equal(again.var_NDL[:, :6], walk.var_NDL[:, :6])
    assert not np.allclose(again.var_NDL[:, 6:], walk.var_NDL[:, 6:])


def test_each_target_has_its_own_forecast_and_tails() -> None:
    table = driven(ENTITIES, DAYS)
    table["other"] = 50.0 + 10.0 * np.random.default_rng(1).standard_t(3, size=len(table))
    columns = Columns(targets=("target", "other"), known=("due.sum",))
    panel = panel_of(table, columns, AS_OF)
    model = untrained(panel).with_fitted_tails(panel, 100, 2, 500)
    assert set(model.tails) == {"target", "other"}
    residual_KQ = [tails.residual_KQ for tails in model.tails.values()]
    assert residual_KQ[0] is not None
    assert residual_KQ[1] is not None
    assert residual_KQ[0].shape == (2, len(LEVELS))
    assert residual_KQ[1][0, 0] < residual_KQ[0][0, 0]  # a heavier tail
    result = [
        ask(model, panel, label=label).quantile_NHQ(np.array([0.5])).mean() for label in columns.targets
    ]
    assert result[0] < 10 < 30 < result[1] < 70
    assert untrained(panel).with_fitted_tails(panel, 100, 2, 100_000).tails == {}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    seen = known_until(whole(), KNOWN_STEPS)
    tails = Tails(np.round(np.tile(np.linspace(-1.1, 1.0, 21), (2, 1)), 6), (0.3, 0.1))
    for model in (trained(), replace(trained(), tails={"target": tails})):
        again = RiskformerCovariates.load(tmp_path, json.loads(json.dumps(model.save(tmp_path))))
        assert (again.columns, again.categories, again.horizon) == (COLUMNS, {"kind": ("x", "y")}, HORIZON)
        np.testing.assert_array_equal(ask(again, seen).path_SNH, ask(model, seen).path_SNH)


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    metadata = trained().save(tmp_path)
    other = {**metadata, "covariates": {**metadata["covariates"], "categories": {"kind": ["x"]}}}
    with pytest.raises(InputError, match=r"riskformer\.safetensors is missing, damaged or of another model"):
        RiskformerCovariates.load(tmp_path, other)
    write_network(tmp_path, {"of": torch.zeros(1)})
    with pytest.raises(InputError, match="or train it again"):
        RiskformerCovariates.load(tmp_path, metadata)
    (tmp_path / "riskformer.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="copy the model's folder anew"):
        RiskformerCovariates.load(tmp_path, metadata)


def test_which_tables_have_more_to_learn_from() -> None:
    assert not covered(Columns())
    assert not covered(Columns(event="default"))
    assert covered(Columns(targets=("a", "b")))
    assert covered(Columns(observed=("c",)))
    assert covered(Columns(known=("c",)))
    assert covered(Columns(statics=("c",)))
    assert covered(Columns(static_numbers=("c",)))


def test_levels_are_those_of_the_training() -> None:
    seen = known_until(whole(), KNOWN_STEPS)
    levels = trained().levels
    moved = replace(trained(), levels=Levels(levels.knot_2VK + 3.0, levels.score_2VK))
    assert not np.array_equal(ask(moved, seen).path_SNH, ask(trained(), seen).path_SNH)
