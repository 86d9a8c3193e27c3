"""Pieces of the app's pages: models beside each other, clients by default probability, fans and walks as figures.

Legend: D days, H steps ahead, Q levels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from apps.risk.evaluation.judged import Row
from apps.risk.evaluation.seen_in_training import sentence
from apps.risk.metrics.credit import CalibrationTable
from apps.risk.metrics.tail_figures import FEWEST_SEEN, too_few_expected
from apps.risk.report import charts
from core.reports.page import Bar, Column, Figure, Notice, Page, PageSection, Table
from core.reports.plots import figure, to_svg
from core.text.figures import DASH, MINUS, interval, number, percent

DISCLAIMER = (
    "Triptych is research software. Figures of the past are no promise: a limit or a lending decision needs a model "
    "validated on your own data."
)
PASSED = (
    "Tests passed: percent of {whose} whose p-value lies above 5 %, of the share of exceedances, independence, dynamic "
    "quantile and shortfall, in this order. Too few: a true VaR would lead to fewer than 2 exceedances over these "
    "days (those of the supervisor's 250 days at 1 %), or independence is asked of fewer than two; such a test says "
    "nothing."
)
TOO_FEW = "too few"
_ZONES = {"green": "green", "yellow": "yellow", "red": "red", "": DASH}


class Client(NamedTuple):
    """One client of a ranking: pd 0..1, drivers as the scores have them ('status +0.80; bill +0.30')."""

    name: str
    pd: float
    drivers: str
    alert: str = ""


def words(name: str) -> str:
    """Return a name of a model, a portfolio or a column as people read it."""
    return name.replace("_", " ")


def models_table(overall: Mapping[str, Mapping[str, Any]], level: float, caption: str) -> Table:
    """Return models, a row each, at one level; the figures of `evaluation.judged.overall`.

    Tests passed: of the share of exceedances, independence, dynamic quantile and shortfall, in this order.
    """
    columns = [
        Column("Model"),
        Column("Pinball loss", numeric=True),
        Column("Fissler\N{EN DASH}Ziegel loss", numeric=True),
        Column("Below VaR", numeric=True),
        Column("Passed, %", numeric=True),
    ]
    rows = []
    for name, by_level in overall.items():
        figures = by_level[f"{level:g}"]
        rows.append(
            [
                words(name),
                interval(figures["pinball"], 4),
                interval(figures["fz"], 3),
                percent(figures["share"], 2),
                _passed(figures),
            ]
        )
    return Table(caption, columns, rows)


def rows_table(rows: Sequence[Row], caption: str) -> Table:
    """Return rows of a backtest, one each, with exact and simulated p-values.

    DQ: dynamic quantile. ES: Acerbi & Szekely's second test. To first: of no difference to the first model's loss.
    """
    columns = [
        Column("Of"),
        Column("Model"),
        Column("Below / expected", numeric=True),
        Column("Zone"),
        *(Column(title, numeric=True) for title in ("Share, p", "Indep., p", "Both, p")),
        *(Column(title, numeric=True) for title in ("DQ, p", "ES, p")),
        Column("To first, p", numeric=True),
    ]
    return Table(caption, columns, [_row(row) for row in rows])


def series_table(rows: Sequence[Row], caption: str) -> Table:
    """Return rows of one series at one level, a model each: its loss with an interval, and its p-values."""
    columns = [
        Column("Model"),
        Column("Pinball loss", numeric=True),
        Column("Below / expected", numeric=True),
        Column("Zone"),
        *(Column(title, numeric=True) for title in ("Share, p", "DQ, p", "ES, p")),
    ]
    body = []
    for row in rows:
        figures = row.figures
        loss = interval([figures.pinball, figures.pinball_low, figures.pinball_high], 4)
        _, model, below, zone, share, _, _, quantile, shortfall, _ = _row(row)
        body.append([model, loss, below, zone, share, quantile, shortfall])
    return Table(caption, columns, body)


def clients_table(clients: Sequence[Client], caption: str) -> Table:
    """Return clients in the order given, PD as a bar beside its percent, and what raises it."""
    top = max((client.pd for client in clients), default=1.0) or 1.0
    columns = [
        Column("Client"),
        Column("Default probability"),
        Column("What raises it, in log-odds"),
        Column(""),
    ]
    rows = [
        [
            client.name,
            Bar(client.pd / top, f"{100.0 * client.pd:.1f} %"),
            client.drivers.replace("-", MINUS) or DASH,
            "marked" if client.alert else "",
        ]
        for client in clients
    ]
    return Table(caption, columns, rows)


def fan(
    name: str,
    time_T: np.ndarray,
    value_T: np.ndarray,
    ahead_H: np.ndarray,
    quantile_HQ: np.ndarray,
    level_Q: np.ndarray,
    unit: str = "return, %",
) -> Figure:
    """Return a series and its quantiles ahead as a figure of a page."""
    with figure(4.2, 3.0) as made:
        charts.draw_fan(made, time_T, value_T, ahead_H, quantile_HQ, level_Q, name, unit)
        return Figure(
            to_svg(made, f"{name}: the last values and the quantiles of {len(ahead_H)} steps ahead")
        )


def walk(
    name: str,
    time_D: np.ndarray,
    return_D: np.ndarray,
    var_D: np.ndarray,
    level: float,
    unit: str = "return, %",
) -> Figure:
    """Return a walk through the past as a figure of a page."""
    with figure(7.6, 3.2) as made:
        charts.draw_var(made, time_D, return_D, var_D, level, name, unit)
        return Figure(
            to_svg(made, f"{name}: returns, the {100 * level:g} % VaR of each day, and exceedances")
        )


def calibration(table: CalibrationTable, title: str) -> Figure:
    """Return a calibration plot as a figure of a page."""
    with figure(4.4, 3.6) as made:
        charts.draw_calibration(made, table, title)
        return Figure(to_svg(made, f"{title}: default rates seen beside those predicted"))


def losses(intervals: Mapping[str, Sequence[float | None] | None], title: str) -> Figure | None:
    """Return models' losses with their intervals as a figure of a page; None where no model has one."""
    bars = {
        name: (one[0], one[1], one[2])
        for name, one in intervals.items()
        if one is not None and None not in (one[0], one[1], one[2])
    }
    if not bars:
        return None
    with figure(4.8, 0.9 + 0.36 * len(bars)) as made:
        charts.draw_intervals(made, list(bars), list(bars.values()), title)  # type: ignore[arg-type]
        return Figure(to_svg(made, f"{title} of {len(bars)} models, with 95 % intervals"))


def marked_as_seen(section: PageSection, part: str, until: str | None) -> PageSection:
    """Return a section that begins with a warning where a training until that date saw its days."""
    if until is None:
        return section
    text = sentence(part, until)
    return dataclasses.replace(
        section, blocks=[Notice(f"{text[0].upper()}{text[1:]}.", "warning"), *section.blocks]
    )


def joined(pages: Sequence[Page]) -> Page:
    """Return one page of several: title and key figures of the first, the sections of all under their pages' titles."""
    if len(pages) == 1:
        return pages[0]
    sections = [
        dataclasses.replace(section, title=f"{one.title}: {section.title}")
        for one in pages
        for section in one.sections
    ]
    return dataclasses.replace(pages[0], sections=sections)


def _passed(figures: Mapping[str, Any]) -> str:
    shares = [figures["passed"][test] for test in ("kupiec", "independence", "dq", "z2")]
    if figures["too_few"] and not any(share is not None for share in shares):
        return TOO_FEW
    return "/".join(number(None if share is None else 100.0 * share, 0) for share in shares)


def _row(row: Row) -> list[str | Bar]:
    figures = row.figures
    if not figures.test_days:
        return [row.entity, words(row.model), row.reason or DASH, *[DASH] * 7]
    expected = figures.level * figures.test_days
    few = too_few_expected(figures.level, figures.test_days)
    independence = TOO_FEW if figures.exceedances < FEWEST_SEEN else number(figures.independence_p, 3)
    tests = [
        number(figures.kupiec_p, 3),
        independence,
        *(number(p, 3) for p in (figures.conditional_p, figures.dq_p, figures.z2_p)),
    ]
    return [
        words(row.entity),
        words(row.model),
        f"{figures.exceedances} / {expected:.1f}",
        TOO_FEW if few else _ZONES[figures.zone],
        *([TOO_FEW] * len(tests) if few else tests),
        number(figures.dm_pinball_p, 3),
    ]
