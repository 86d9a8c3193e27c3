"""What every verb says of rows that it could not use: how many, why, and where they are listed; too many stop it."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import Checked
from apps.risk.data.parse import MISSING_WORDS
from apps.risk.reasons import INPUTS
from core.runs.files import write_csv
from core.runs.folder import Run
from core.terminal.notes import commonest, print_note, print_set_aside

LIST = ("row", "entity", "column", "code", "sentence", "content")
FILE = "rejected.csv"
HARMLESS = "duplicate_row"  # a copy was kept: nothing is lost


def report_rejected(
    checked: Checked, columns: Columns, most: float, run: Run, listed_in: Path | None = None
) -> None:
    """Print, log and list the rows that were set aside; nothing where there are none.

    most: share of the rows that exist at the as-of date, 0 to 1, that may be set aside, copies of a row not counted.
    listed_in: the file that the caller lists them in; None lists them in the run's folder. Raises InputError
    too_many_rejected, with the list in the run's folder.
    """
    if run.rank != 0:
        return
    if checked.notes:
        print_note("; ".join(checked.notes))
    rejected, total = checked.rejected, checked.total
    if not len(rejected):
        return
    reasons = list(zip(rejected["code"], rejected["sentence"], strict=True))
    [(code, _)] = Counter(rejected["code"]).most_common(1)
    run.log.event("rows_set_aside", count=len(rejected), items=total, code=code)
    lost = int((rejected["code"] != HARMLESS).sum())
    path = run.path / FILE if lost > most * total or listed_in is None else listed_in
    if path != listed_in:
        write_csv(path, LIST, rejected_rows(checked, columns))
    if lost > most * total:
        raise INPUTS(
            "too_many_rejected",
            rejected=len(rejected),
            total=total,
            most=most,
            commonest=commonest(reasons),
            path=path,
        )
    print_set_aside("rows", total, reasons, path)


def rejected_rows(checked: Checked, columns: Columns) -> list[tuple[Any, ...]]:
    """Return the rows that were set aside, with the columns LIST; the same whatever the rows after them are."""
    numbers = frozenset((*columns.features, *columns.static_numbers))
    return [
        (
            one.row,
            one.entity if isinstance(one.entity, str) else "",
            *(one.column, one.code, one.sentence),
            _plain(str(one.content), numbers),
        )
        for one in checked.rejected.itertuples(index=False)
    ]


def _plain(content: str, numbers: frozenset[str]) -> str:
    """Spell numbers one way: a reader of CSV tells 7 as 7.0 where the whole column is numbers, later rows included."""
    row = json.loads(content)
    for name in numbers & row.keys():
        if row[name] in (*MISSING_WORDS, None):
            row[name] = None
            continue
        with contextlib.suppress(ValueError):
            row[name] = repr(float(row[name]))
    return json.dumps(row, ensure_ascii=False)
