from __future__ import annotations

from apps.imagegen.data.recipe import Recipe
from apps.nodule.infer import SUMMARY_COLUMNS
from apps.risk.metrics.tail_figures import TailFigures
from apps.risk.scoring.scores import LAYOUT
from docs.generate.columns import columns_page, risk_columns


def test_every_column_of_the_scores_has_type_unit_and_meaning() -> None:
    rows = [line.split(" | ") for line in risk_columns().splitlines()[2:]]
    assert [row[0].strip("| `") for row in rows] == LAYOUT.schema.names
    assert all(len(row) == 4 and row[2] and row[3].strip(" |") for row in rows)


def test_the_page_names_every_output() -> None:
    page = columns_page()
    assert all(f"| `{name}` |" in page for name in SUMMARY_COLUMNS)
    assert all(
        f"`{name}`" in page for name in (*TailFigures.__dataclass_fields__, *Recipe.__dataclass_fields__)
    )
    assert ">>> " not in page
    for name in (
        "summary.csv",
        "candidates.csv",
        "report.json",
        "froc.csv",
        "_manifest.json",
        "backtest.csv",
    ):
        assert name in page
