"""report.html of a backtest: models beside each other, the walk of the best, every test of every entity.

Legend: D days, N entities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from apps.risk.data.history import steps_known
from apps.risk.data.panel import Panel
from apps.risk.evaluation.judged import Judged
from apps.risk.models.forecast import TAIL_LEVELS
from apps.risk.models.garch import Walk
from apps.risk.models.walking import Asked, outcomes
from apps.risk.report import page
from core.reports.page import Block, Facts, Figure, Gallery, Notice, Page, PageSection, Text, Tile

SHOWN = 4  # entities whose walk is drawn
ROWS = 60  # rows of a table of entities; the CSV has all
LEVEL = 0.01
_HOW = (
    "Every day was forecast from what came before it alone. Losses count all days on which every model that knows the "
    "series has a forecast, with 95 % intervals over blocks of days. p-values are exact (share of exceedances, "
    "independence, both) or simulated (dynamic quantile, Acerbi\N{EN DASH}Szekely's second test of the shortfall); a "
    "test counts as passed from 5 % on. Sums over several days begin anew every day and overlap: losses count all of "
    "them, tests only those that follow each other."
)


def backtest_page(
    panels: Sequence[Panel],
    label: str,
    judged: Mapping[Asked, Judged],
    overall: Mapping[str, Mapping[str, Any]],
    walks: Mapping[str, Walk],
    days: int,
    seen: str | None = None,
) -> Page:
    """Return the page of one target.

    panels: of one calendar each; `walks` is that of the first. overall: by "entity_1" and so on, of each model what
    `judged.overall` says. seen: last date of a training that saw days of the walk; None where none did.
    """
    panel = panels[0]
    end = steps_known(panel)
    time_D = panel.calendar_T[end - days : end]
    best = least(overall["entity_1"], 0.025)
    sections = [
        page.marked_as_seen(_side_by_side(judged, overall), "targets", seen),
        _walked(panel, label, walks, best or next(iter(walks)), time_D),
    ]
    sections += [_tests(one) for one in judged.values()]
    sections.append(
        PageSection("How it was done", [Text(_HOW), Facts(_facts(panels, time_D)), Notice(page.DISCLAIMER)])
    )
    return Page(
        title=f"VaR and shortfall of {page.words(label)} over {days} days",
        subtitle=f"{len(walks)} models side by side, {_day(time_D[0])} to {_day(time_D[-1])}.",
        eyebrow="Triptych \N{MIDDLE DOT} risk",
        tiles=_tiles(panels, overall["entity_1"], best, days),
        sections=sections,
        footer=page.DISCLAIMER,
    )


def least(models: Mapping[str, Mapping[str, Any]], level: float, loss: str = "pinball") -> str | None:
    """Return the model of the least mean loss at a level; None where none has one."""
    known = {
        name: by_level[f"{level:g}"][loss][0]
        for name, by_level in models.items()
        if by_level[f"{level:g}"][loss]
    }
    return min(known, key=lambda name: known[name]) if known else None


def _tiles(panels: Sequence[Panel], models: Mapping[str, Any], best: str | None, days: int) -> list[Tile]:
    tiles = [
        Tile("Series", str(sum(len(panel.entities) for panel in panels))),
        Tile("Days", str(days), "out of sample"),
    ]
    if best is not None:
        figures = models[best][f"{LEVEL:g}"]
        tiles += [
            Tile("Least pinball loss at 2.5 %", page.words(best), "one day ahead"),
            Tile(
                "Days below its 1 % VaR", f"{100.0 * (figures['share'] or 0.0):.2f} %", "1 % would be right"
            ),
        ]
    return tiles


def _side_by_side(judged: Mapping[Asked, Judged], overall: Mapping[str, Mapping[str, Any]]) -> PageSection:
    blocks: list[Block] = []
    bars = [
        page.losses(
            {name: by_level[f"{level:g}"]["pinball"] for name, by_level in overall["entity_1"].items()},
            f"Mean pinball loss at {100 * level:g} %, one day",
        )
        for level in TAIL_LEVELS.tolist()[:2]
    ]
    shown = [bar for bar in bars if bar is not None]
    if shown:
        blocks.append(Gallery(shown))
    for asked in judged:
        models = overall[f"{asked.kind}_{asked.steps}"]
        whose = "series" if asked.kind == "entity" else "portfolios"
        first = asked == Asked("entity", 1)
        for level in (0.01, 0.025) if first else (0.025,):
            caption = f"{_of(asked)}, at {100 * level:g} %. {page.PASSED.format(whose=whose)}"
            blocks.append(page.models_table(models, level, caption))
    return PageSection("Models side by side", blocks)


def _walked(
    panel: Panel, label: str, walks: Mapping[str, Walk], model: str, time_D: np.ndarray
) -> PageSection:
    outcome_ND = outcomes(panel, label, len(time_D))
    index = TAIL_LEVELS.tolist().index(LEVEL)
    figures: list[Block] = []
    for n in np.flatnonzero(~np.isnan(outcome_ND).all(axis=1))[:SHOWN]:
        var_D = walks[model].var_NDL[n, :, index]
        drawn: Figure = page.walk(
            page.words(panel.entities[n]), time_D, outcome_ND[n], var_D, LEVEL, page.words(label)
        )
        figures.append(drawn)
    left = len(panel.entities) - len(figures)
    more = f"; {left} more series are in backtest.csv" if left else ""
    return PageSection(
        "Day by day", [Text(f"The 1 % VaR of {page.words(model)}, one day ahead{more}."), *figures]
    )


def _tests(judged: Judged) -> PageSection:
    rows = [row for row in judged.rows if row.figures.level == LEVEL]
    cut = f" The first {ROWS} of {len(rows)} rows; backtest.csv has all." if len(rows) > ROWS else ""
    caption = (
        f"At {100 * LEVEL:g} %; backtest.csv has 2.5 % and 5 %, statistics and losses too. DQ: dynamic quantile. ES: "
        f"shortfall. To first: Diebold\N{EN DASH}Mariano against the pinball loss of the first model.{cut}"
    )
    return PageSection(_of(judged.asked), [page.rows_table(rows[:ROWS], caption)])


def _of(asked: Asked) -> str:
    whose = "Each series" if asked.kind == "entity" else "Portfolios"
    return f"{whose}, one day ahead" if asked.steps == 1 else f"{whose}, sum over {asked.steps} days"


def _facts(panels: Sequence[Panel], time_D: np.ndarray) -> list[tuple[str, str]]:
    return [
        ("First day", _day(time_D[0])),
        ("Last day", _day(time_D[-1])),
        *((f"Series, {panel.axis.calendar}", str(len(panel.entities))) for panel in panels),
    ]


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[s]")).replace("T00:00:00", "").replace("T", " ")
