"""Scores as JSON: the numbers of stage=score with all their digits, null where a row has none."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from apps.risk.api import REJECTED, RowsOfScores


def answer_of(scored: RowsOfScores, layout: str) -> bytes:
    """Return the answer to a request. layout: "records", an object a row, or "columns", a list a column."""
    rows = _plain(scored.rows)
    content = {
        "as_of": scored.as_of,
        "scores": rows.to_pylist() if layout == "records" else rows.to_pydict(),
        "refused": [one._asdict() for one in scored.refused],
        "rejected": _rejected(scored),
        "notes": list(scored.notes),
        "seen_in_training": dict(scored.seen_in_training),
    }
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _plain(rows: pa.Table) -> pa.Table:
    """Return rows whose times are texts, ISO 8601 without zone, as the command's files hold them."""
    index = rows.schema.get_field_index("time")
    times = [None if time is None else time.isoformat() for time in rows.column(index).to_pylist()]
    return rows.set_column(index, "time", pa.array(times, pa.string()))


def _rejected(scored: RowsOfScores) -> list[dict[str, Any]]:
    if not len(scored.rejected):
        return []
    records = scored.rejected[REJECTED].astype(object).to_dict("records")
    return [{name: None if value != value else value for name, value in record.items()} for record in records]
