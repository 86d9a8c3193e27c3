"""What every verb says of rows that it could not use: how many, why, and where they are listed; too many stop it."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.risk.data.columns import Columns
from apps.risk.data.contracts import Checked
from apps.risk.data.parse import MISSING_WORDS
from apps.risk.reasons import ASIDE, INPUTS
from core.runs.folder import Run
from core.runs.outputs import output_error
from core.runs.quarantine import FOLDER, Quarantine
from core.terminal.notes import commonest, print_note, print_set_aside

ROWS = "rows"  # the item under which a run lists them in its own folder
PARTS = "parts_set_aside"
KEYS = ("kind", "row", "entity", "column", "code", "sentence", "content")  # of one part
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
    too_many = _lost(checked) > most * total
    path = listed_in
    if too_many or path is None:
        path = write_set_aside(run.path, ROWS, rejected_rows(checked, columns))
    if too_many:
        raise INPUTS(
            "too_many_rejected",
            rejected=len(rejected),
            total=total,
            most=most,
            commonest=commonest(reasons),
            path=path,
        )
    print_set_aside("rows", total, reasons, path)


def require_few(checked: Checked, most: float) -> None:
    """Raise InputError, too_many_rows_rejected, where a larger share of the rows than `most` was set aside."""
    if _lost(checked) > most * checked.total:
        reasons = list(zip(checked.rejected["code"], checked.rejected["sentence"], strict=True))
        raise INPUTS(
            "too_many_rows_rejected",
            rejected=len(reasons),
            total=checked.total,
            most=most,
            commonest=commonest(reasons),
        )


def _lost(checked: Checked) -> int:
    return int((checked.rejected["code"] != HARMLESS).sum()) if len(checked.rejected) else 0


def set_aside_path(folder: Path, item: str) -> Path:
    """Return the file of `write_set_aside`, there or not."""
    return Quarantine(folder / FOLDER).path(item)


def write_set_aside(folder: Path, item: str, parts: Sequence[Mapping[str, Any]]) -> Path:
    """List parts of an item that were set aside in `folder/quarantine/ITEM.json`, and return that path.

    parts: one mapping of KEYS each. Without parts the file that an
    earlier run wrote is removed. Raises InputError where the folder cannot be written.
    """
    quarantine = Quarantine(folder / FOLDER)
    if not parts:
        quarantine.release(item)
        return quarantine.path(item)
    kinds = Counter(str(part["kind"]) for part in parts)
    counted = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    try:
        return quarantine.add(item, PARTS, ASIDE.sentence(PARTS, counted=counted), parts=parts)
    except OSError as error:
        raise output_error(error, folder) from error


def set_aside_part(
    kind: str,
    entity: str | None,
    column: str,
    reason: tuple[str, str],
    row: int | None = None,
    content: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return one part that was set aside: a mapping of KEYS.

    kind: "row", "entity" or "portfolio". entity: its name, None where a row has none. column: the column at fault, the
    target or the event. reason: code and sentence. row, content: of a row of the table, its number, which counts from
    0, and its values; else None.
    """
    values = (kind, row, entity, column, *reason, None if content is None else dict(content))
    return dict(zip(KEYS, values, strict=True))


def rejected_rows(checked: Checked, columns: Columns) -> list[dict[str, Any]]:
    """Return the rows that were set aside, as parts; the same whatever the rows after them are."""
    numbers = frozenset((*columns.features, *columns.static_numbers))
    return [
        set_aside_part(
            "row",
            one.entity if isinstance(one.entity, str) else None,
            one.column,
            (one.code, one.sentence),
            int(one.row),
            _plain(str(one.content), numbers),
        )
        for one in checked.rejected.itertuples(index=False)
    ]


def _plain(content: str, numbers: frozenset[str]) -> dict[str, Any]:
    """Spell numbers one way: a reader of CSV tells 7 as 7.0 where the whole column is numbers, later rows included."""
    row: dict[str, Any] = json.loads(content)
    for name in numbers & row.keys():
        if row[name] in (*MISSING_WORDS, None):
            row[name] = None
            continue
        with contextlib.suppress(ValueError):
            row[name] = repr(float(row[name]))
    return row
