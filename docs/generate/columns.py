"""The page of outputs: the columns of every table and the fields of the JSON files, from the code that writes them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from docs.generate.markdown import code, escaped, table

ROOT = Path(__file__).resolve().parents[2]
UNITS = {"": "name", "1": "number", "target": "unit of the target"}


def columns_page() -> str:
    """Return the page of all outputs, app by app."""
    return "\n".join(["# Outputs and their columns\n", *_nodule(), *_risk(), *_imagegen()])


def risk_columns() -> str:
    """Return the table of the scores: type, unit and meaning of each column, in the order of the files."""
    from apps.risk.scoring.scores import COLUMNS

    return table(
        ("column", "type", "unit", "meaning"),
        [
            (code(name), code(column.type), UNITS.get(column.unit, column.unit), escaped(column.about))
            for name, column in COLUMNS.items()
        ],
    )


def _nodule() -> list[str]:
    from apps.nodule import evaluate
    from apps.nodule.report import summary, tables

    return [
        "## triptych-nodule\n",
        "### summary.csv\n",
        "One row for each series of the input (`stage=infer`, `stage=submit`).\n",
        _described(summary.SUMMARY),
        "### nodules.csv and candidates.csv\n",
        "One row for each finding, or candidate, of one series.\n",
        _described(tables.CANDIDATE),
        "### report.json\n",
        _docstring(tables.report),
        f"`schema_version` is {tables.SCHEMA_VERSION}.\n",
        "### metrics.json of stage=evaluate\n",
        _docstring(evaluate.metrics_of),
        "### froc.csv\n",
        _described(evaluate.CURVE),
    ]


def _risk() -> list[str]:
    from apps.risk.data import set_aside
    from apps.risk.evaluation import judged
    from apps.risk.metrics.tail_figures import TailFigures
    from apps.risk.scoring import manifest
    from apps.risk.scoring.scores import LAYOUT

    return [
        "## triptych-risk\n",
        "### scores/as_of=DATE/part-*.parquet, and the SQL table\n",
        f"Sorted by {_list(LAYOUT.key)}. In Parquet the columns have the types below; the same rows go to SQL.\n",
        risk_columns(),
        f"### {manifest.MANIFEST}\n",
        _docstring(manifest.Facts),
        _docstring(manifest.write_manifest),
        f"### {manifest.INDEX}\n",
        _docstring(manifest.summary),
        "### quarantine/as_of=DATE.json, and quarantine/rows.json of a run's folder\n",
        f"`parts` holds a mapping for each row, series or portfolio, with the keys {_list(set_aside.KEYS)}.\n",
        _docstring(set_aside.set_aside_part),
        "### backtest.csv\n",
        f"Columns: {_list(('target', *judged.COLUMNS))}.\n",
        _docstring(judged.Row),
        f"Figures: {_list(field.name for field in dataclasses.fields(TailFigures))}.\n",
        _docstring(TailFigures),
        "### metrics.json of stage=backtest and stage=evaluate\n",
        "For each target, portfolio and model, by level:\n",
        _docstring(judged.overall),
    ]


def _imagegen() -> list[str]:
    from apps.imagegen.data.recipe import Recipe

    # Read, not imported: it would load torch for a docstring.
    evaluate = ast.get_docstring(ast.parse((ROOT / "apps" / "imagegen" / "evaluate.py").read_text("utf-8")))
    assert evaluate
    fields = (
        (code(field.name), code(str(field.type)), _default(field)) for field in dataclasses.fields(Recipe)
    )
    return [
        "## triptych-imagegen\n",
        "### The recipe inside each image\n",
        _docstring(Recipe),
        table(("field", "type", "default"), fields),
        "### stage=evaluate\n",
        f"```text\n{evaluate}\n```\n",
    ]


def _default(field: dataclasses.Field[Any]) -> str:
    return "must be given" if field.default is dataclasses.MISSING else code(json.dumps(field.default))


def _described(columns: Mapping[str, str]) -> str:
    return table(("column", "meaning"), [(code(name), escaped(about)) for name, about in columns.items()])


def _docstring(thing: object) -> str:
    text = (inspect.getdoc(thing) or "").partition("\n>>> ")[0].strip()
    assert text, thing
    return escaped(text) + "\n"


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(code, names))
