"""report.html of an evaluation: the champion, all models on development and test, their calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.risk.evaluation.event_evaluation import Evaluated
from apps.risk.evaluation.judged import Judged
from apps.risk.evaluation.parts import Figures, Parts
from apps.risk.report import page
from core.reports.page import Block, Column, Gallery, Notice, Page, PageSection, Table, Text, Tile
from core.text.figures import interval, number

_CREDIT = {
    "auroc": "AUROC",
    "ks": "KS",
    "brier": "Brier",
    "ece": "ECE",
    "capture": "Defaults among alerts",
}
MOST_FEATURES = 15  # on the page
_SEEN = (
    "Figures of a trained model are out of sample only on dates after its training, or on clients that it did not "
    "learn from: see its model card."
)


def targets_page(
    label: str, parts: Parts, champion: Mapping[str, Any], judged: Judged, seen: str | None = None
) -> Page:
    """Return the page of one target. judged: the test, day by day. seen: last date of a training that saw some."""
    best = str(champion["champion"])
    sections = [
        page.marked_as_seen(PageSection("Test", _targets_blocks(parts.test)), "targets", seen),
        PageSection("Development, by which the champion was chosen", _targets_blocks(parts.development)),
    ]
    rows = [row for row in judged.rows if row.figures.level == 0.01]
    caption = "The test at 1 %, the first 60 rows." if len(rows) > 60 else "The test at 1 %."
    sections.append(PageSection("Each series", [page.rows_table(rows[:60], caption)]))
    sections.append(_end())
    loss = parts.test[best]["0.025"]["pinball"]
    return Page(
        title=f"{page.words(label)}: {page.words(best)} is the champion",
        subtitle=f"By the {champion['rule']}.",
        eyebrow="Triptych \N{MIDDLE DOT} risk",
        tiles=[
            Tile("Champion", page.words(best), f"of {len(parts.test)} models"),
            Tile("Pinball loss at 2.5 %", number(loss[0] if loss else None, 4), "one day ahead, test"),
        ],
        sections=sections,
        footer=page.DISCLAIMER,
    )


def event_page(
    label: str, champion: Mapping[str, Any], evaluated: Evaluated, seen: str | None = None
) -> Page:
    """Return the page of an event. seen: last date of a training that saw the as-of date."""
    parts, tables, stability = evaluated
    best = str(champion["champion"])
    figures = [page.calibration(table, page.words(name)) for name, table in tables.items()]
    sections = [
        page.marked_as_seen(
            PageSection(
                "Test",
                [
                    _credit_table(parts.test, "Clients of the test, with 95 % intervals over clients."),
                    Gallery(figures),
                ],
            ),
            "event",
            seen,
        ),
        PageSection(
            "Development, by which the champion was chosen",
            [_credit_table(parts.development, "Clients of development.")],
        ),
        PageSection("Have the clients changed", [_stability_table(stability)]),
        _end(),
    ]
    best_figures = parts.test[best]
    return Page(
        title=f"{page.words(label)}: {page.words(best)} is the champion",
        subtitle=f"By the {champion['rule']}.",
        eyebrow="Triptych \N{MIDDLE DOT} risk",
        tiles=[
            Tile("Champion", page.words(best), f"of {len(parts.test)} models"),
            Tile("AUROC", number(best_figures["auroc"][0], 3), "test"),
            Tile("Clients", str(best_figures["clients"]), "test"),
        ],
        sections=sections,
        footer=page.DISCLAIMER,
    )


def _targets_blocks(figures: Figures) -> list[Block]:
    bars = [
        page.losses(
            {name: one[level]["pinball"] for name, one in figures.items()}, f"Mean pinball loss at {title}"
        )
        for level, title in (("0.01", "1 %"), ("0.025", "2.5 %"))
    ]
    shown = [bar for bar in bars if bar is not None]
    tables = [
        page.models_table(
            figures,
            level,
            f"One day ahead at {100 * level:g} %. {page.PASSED.format(whose='series')}",
        )
        for level in (0.01, 0.025, 0.05)
    ]
    return [*([Gallery(shown)] if shown else []), *tables, _horizon_table(figures)]


def _horizon_table(figures: Figures) -> Table:
    columns = [
        Column("Model"),
        Column("Weighted quantile loss", numeric=True),
        Column("MASE", numeric=True),
        Column("Within the 80 % interval", numeric=True),
    ]
    rows = [
        [
            page.words(name),
            *(interval(one["horizon"].get(figure), 3) for figure in ("wql", "mase", "coverage_80")),
        ]
        for name, one in figures.items()
    ]
    return Table("The whole horizon, from dates that lie evenly over the part.", columns, rows)


def _credit_table(figures: Figures, caption: str) -> Table:
    columns = [Column("Model"), *(Column(title, numeric=True) for title in _CREDIT.values())]
    rows = [
        [page.words(name), *(interval(one[figure], 3) for figure in _CREDIT)] for name, one in figures.items()
    ]
    return Table(caption, columns, rows)


def _stability_table(stability: Mapping[str, float | None]) -> Table:
    shown = list(stability.items())[:MOST_FEATURES]
    caption = (
        "Stability index (PSI) of each feature, from the clients of development to those of the test. By custom below "
        "0.1 is stable, above 0.25 moved."
    )
    if len(stability) > len(shown):
        caption += f" The {len(shown)} largest of {len(stability)}; all are in metrics.json."
    columns = [Column("Feature"), Column("PSI", numeric=True)]
    return Table(caption, columns, [[name, number(psi, 3)] for name, psi in shown])


def _end() -> PageSection:
    return PageSection("How it was done", [Text(_SEEN), Notice(page.DISCLAIMER)])
