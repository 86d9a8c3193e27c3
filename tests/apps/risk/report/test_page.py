"""Pieces of the pages: tables say what was found, a dash says that nothing was."""

from __future__ import annotations

import dataclasses

import numpy as np

from apps.risk.evaluation.judged import Row
from apps.risk.metrics.credit import calibration_table
from apps.risk.metrics.tail_figures import TailFigures
from apps.risk.report.page import (
    Client,
    calibration,
    clients_table,
    fan,
    joined,
    losses,
    models_table,
    rows_table,
    series_table,
    walk,
    words,
)
from core.reports.page import Bar, Page, PageSection

TESTED = TailFigures(
    level=0.05, days=250, test_days=250, exceedances=20, kupiec_p=0.0481, dq_p=0.5, z2_p=0.25, zone="yellow"
)
DAYS = np.arange("2024-01-01", "2024-03-01", dtype="datetime64[D]").astype("datetime64[us]")


def test_names_are_shown_as_words() -> None:
    assert words("gjr_garch") == "gjr garch"


def test_rows_show_zone_and_p_values_and_silence_by_its_reason() -> None:
    refused = Row("late", "entity", "b", 1, 250, "all_missing", TailFigures(level=0.05))
    table = rows_table([Row("gjr_garch", "entity", "a", 1, 0, "", TESTED), refused], "")
    assert table.rows[0] == [
        "a",
        "gjr garch",
        "20 / 12.5",
        "yellow",
        "0.048",
        "–",
        "–",
        "0.500",
        "0.250",
        "–",
    ]
    assert table.rows[1] == ["b", "late", "all_missing", *["–"] * 7]


def test_models_of_one_series_show_their_loss_and_p_values() -> None:
    result = dataclasses.replace(TESTED, pinball=0.05, pinball_low=0.04, pinball_high=0.06)
    refused = Row("late", "entity", "a", 1, 250, "all_missing", TailFigures(level=0.05))
    table = series_table([Row("gjr_garch", "entity", "a", 1, 0, "", result), refused], "")
    assert table.rows == [
        ["gjr garch", "0.0500 (0.0400 to 0.0600)", "20 / 12.5", "yellow", "0.048", "0.500", "0.250"],
        ["late", "–", "all_missing", *["–"] * 4],
    ]


def test_models_stand_beside_each_other() -> None:
    result = {
        "pinball": [0.1, 0.09, 0.11],
        "fz": None,
        "share": 0.0512,
        "passed": {"kupiec": 0.85, "independence": 1.0, "dq": None, "z2": 0.5},
        "too_few": 1,
    }
    refused = {**result, "passed": dict.fromkeys(result["passed"])}
    figures = {
        "gjr_garch": {"0.05": result},
        "late": {"0.05": refused},
        "none": {"0.05": {**refused, "too_few": 0}},
    }
    rows = models_table(figures, 0.05, "At 5 %").rows
    assert rows[0] == ["gjr garch", "0.1000 (0.0900 to 0.1100)", "–", "5.12 %", "85/100/–/50"]
    assert [row[4] for row in rows[1:]] == ["too few", "–/–/–/–"]


def test_a_test_that_says_nothing_says_that_it_had_too_few() -> None:
    ten_days = TailFigures(level=0.01, days=200, test_days=20, exceedances=0, share=0.0, dm_pinball_p=0.3)
    once = dataclasses.replace(TESTED, exceedances=1)
    rows = rows_table([Row("gjr_garch", "entity", "a", 10, 0, "", one) for one in (ten_days, once)], "").rows
    assert rows[0][2:] == ["0 / 0.2", *["too few"] * 6, "0.300"]
    assert rows[1][2:6] == ["1 / 12.5", "yellow", "0.048", "too few"]


def test_clients_are_ranked_with_their_drivers() -> None:
    clients = [Client("b7", 0.4, "status +0.80; age -0.10", "pd_top_share"), Client("a1", 0.1, "")]
    table = clients_table(clients, "Riskiest first")
    assert table.rows[0] == ["b7", Bar(1.0, "40.0 %"), "status +0.80; age −0.10", "marked"]
    assert table.rows[1] == ["a1", Bar(0.25, "10.0 %"), "–", ""]


def test_figures_say_what_they_show() -> None:
    quantile_HQ = np.tile([-1.0, 0.0, 1.0], (5, 1))
    shown = [
        fan("Oil", DAYS[:30], np.zeros(30), DAYS[30:35], quantile_HQ, np.array([0.05, 0.5, 0.95])),
        walk("Oil", DAYS, np.zeros(len(DAYS)), np.full(len(DAYS), -1.0), 0.025),
        calibration(calibration_table(np.array([0.1, 0.9]), np.array([0.0, 1.0]), bins=2), "Clients"),
        losses({"a": [1.0, 0.9, 1.1], "b": None}, "Pinball loss at 1 %"),
    ]
    labels = [str(one.image).split('aria-label="')[1].split('"')[0] for one in shown if one is not None]
    assert labels == [
        "Oil: the last values and the quantiles of 5 steps ahead",
        "Oil: returns, the 2.5 % VaR of each day, and exceedances",
        "Clients: default rates seen beside those predicted",
        "Pinball loss at 1 % of 1 models, with 95 % intervals",
    ]
    assert losses({"a": None}, "x") is None


def test_all_fields_of_a_row_exist() -> None:
    names = {field.name for field in dataclasses.fields(TailFigures)}
    assert {
        f"{test}_p" for test in ("kupiec", "independence", "conditional", "dq", "z2", "dm_pinball")
    } < names


def test_pages_of_several_targets_are_joined() -> None:
    one = Page("VaR of a", "", [PageSection("How", [])])
    two = Page("VaR of b", "", [PageSection("How", [])])
    assert joined([one]) is one
    assert [section.title for section in joined([one, two]).sections] == ["VaR of a: How", "VaR of b: How"]
