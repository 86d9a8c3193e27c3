"""Models beside each other: on common days, silence shown, sums over entities."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import norm

from apps.risk.evaluation.judged import COLUMNS, Judged, cells, daily_losses, judge, overall
from apps.risk.models.forecast import TAIL_LEVELS
from apps.risk.models.garch import Walk
from apps.risk.models.walking import Asked

DAYS = 120
VAR = norm.ppf(TAIL_LEVELS)
ES = -norm.pdf(VAR) / TAIL_LEVELS


def walk(scale: float, entities: int = 2) -> Walk:
    shape = (entities, DAYS, len(TAIL_LEVELS))
    return Walk(
        np.broadcast_to(scale * VAR, shape).copy(),
        np.broadcast_to(scale * ES, shape).copy(),
        np.full((entities, DAYS), "", dtype=object),
    )


def case() -> tuple[dict[str, Walk], np.ndarray]:
    """Two models of two entities: `late` has no forecast of the first entity on ten days, none of the second."""
    outcome_ND = np.random.default_rng(0).normal(size=(2, DAYS))
    outcome_ND[0, 50] = np.nan
    late = walk(2.0)
    late.var_NDL[0, 45:55], late.es_NDL[0, 45:55], late.reason_ND[0, 45:55] = np.nan, np.nan, "too_short"
    late.var_NDL[1], late.es_NDL[1], late.reason_ND[1] = np.nan, np.nan, "all_missing"
    return {"true": walk(1.0), "late": late}, outcome_ND


@cache
def judged() -> Judged:
    walks, outcome_ND = case()
    return judge(walks, outcome_ND, ["a", "b"], Asked("entity", 1))


def test_models_are_judged_on_the_same_days() -> None:
    rows = judged().rows
    keys = [(row.model, row.entity, row.figures.level) for row in rows]
    assert len(keys) == len(set(keys)) == 2 * 2 * 3
    rows = [row for row in rows if row.figures.level == 0.05]
    days = {(row.model, row.entity): (row.figures.days, row.refused_days, row.reason) for row in rows}
    assert days == {
        ("true", "a"): (DAYS - 10, 0, ""),
        ("late", "a"): (DAYS - 10, 9, "too_short"),
        ("true", "b"): (DAYS, 0, ""),
        ("late", "b"): (0, DAYS, "all_missing"),
    }


def test_the_first_model_that_speaks_is_compared_with() -> None:
    by_key = {(row.model, row.entity): row.figures for row in judged().rows if row.figures.level == 0.05}
    assert np.isnan(by_key["true", "a"].dm_pinball)
    assert by_key["late", "a"].dm_pinball == pytest.approx(
        by_key["late", "a"].pinball - by_key["true", "a"].pinball, rel=1e-12
    )
    assert np.isnan(by_key["late", "b"].dm_pinball)


def test_an_entity_without_outcome_says_so() -> None:
    walks, outcome_ND = case()
    outcome_ND[0] = np.nan
    outcome_ND[1, 10:] = np.nan
    rows = judge(walks, outcome_ND, ["a", "b"], Asked("entity", 1)).rows
    reasons = {(row.model, row.entity): row.reason for row in rows}
    assert reasons == {
        ("true", "a"): "no_outcome",
        ("late", "a"): "no_outcome",
        ("true", "b"): "too_few_days",
        ("late", "b"): "all_missing",
    }


def test_sums_over_entities() -> None:
    made = judged()
    figures = overall(made, "true")["0.05"]
    loss_D = daily_losses(made, "true", "pinball", 2)
    value, low, high = figures["pinball"]
    assert value == pytest.approx(np.nanmean(loss_D), rel=1e-5)
    assert low < value < high
    mine = [row.figures for row in made.rows if row.model == "true" and row.figures.level == 0.05]
    assert figures["share"] == pytest.approx(sum(one.exceedances for one in mine) / (2 * DAYS - 10), rel=1e-5)
    assert figures["passed"]["kupiec"] == np.mean([one.kupiec_p > 0.05 for one in mine])
    assert (figures["refused"], figures["entities"]) == (0, 2)
    late = overall(made, "late")["0.05"]
    assert (late["refused"], late["entities"]) == (1, 2)
    assert (
        overall(
            judge({"late": case()[0]["late"]}, case()[1][1:] * np.nan, ["b"], Asked("entity", 1)), "late"
        )["0.01"]["pinball"]
        is None
    )


def test_a_row_has_a_cell_for_each_column() -> None:
    row = next(row for row in judged().rows if row.model == "late" and row.entity == "b")
    result = dict(zip(COLUMNS, cells(row), strict=True))
    assert (result["model"], result["entity"], result["horizon"], result["reason"]) == (
        "late",
        "b",
        1,
        "all_missing",
    )
    assert (result["level"], result["days"], result["pinball"], result["zone"]) == ("0.01", 0, "", "")


def test_tests_of_too_few_expected_exceedances_pass_nothing() -> None:
    """110 and 120 days expect 1.1 and 1.2 exceedances at 1 %, and more than 2.5 at 2.5 %."""
    rows = {row.figures.level: row for row in judged().rows if (row.model, row.entity) == ("true", "a")}
    assert [rows[level].reason for level in (0.01, 0.025, 0.05)] == ["too_few_expected", "", ""]
    figures = overall(judged(), "true")
    assert figures["0.01"]["too_few"] == 2
    assert set(figures["0.01"]["passed"].values()) == {None}
    assert figures["0.01"]["share"] is not None
    assert figures["0.05"]["too_few"] == 0
    assert overall(judged(), "late")["0.01"]["too_few"] == 1, "of the other nothing is known at all"
