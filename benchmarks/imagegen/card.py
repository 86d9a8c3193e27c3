"""The model card of the embedded pipeline, written from the records of its measurements and from what a person saw."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from apps.imagegen.models.pipeline_folder import EMBEDDED
from benchmarks.page import card_environment, device_words
from benchmarks.record import newest
from core.errors import InputError

TEMPLATE = "emoji.md.j2"
NEEDED = ("training", "quality", "engine", "sameness", "service", "personalise")
LOOKED_AT = (
    EMBEDDED / "looked_at.csv"
)  # prompt, recognised (yes, no), note: a person's reading of the contact sheet


def render_card(records: Sequence[dict[str, Any]], looked_at: Path = LOOKED_AT) -> str:
    """Return the card as Markdown, from the newest record of each theme.

    Raises InputError where a record is missing, or where two are of different models.
    """
    records_by_part = {part: newest(list(records), f"imagegen-{part}") for part in NEEDED}
    missing = [part for part, record in records_by_part.items() if record is None]
    if missing:
        raise InputError(
            "record_missing", f"no record of {', '.join(missing)}: run python -m benchmarks.imagegen for each"
        )
    models = {part: record["results"]["model"] for part, record in records_by_part.items() if record}
    if len(set(models.values())) > 1:
        digests = ", ".join(f"{part} {digest[:12]}" for part, digest in models.items())
        raise InputError("records_differ", f"the records are of different models: {digests}")
    with looked_at.open(encoding="utf-8", newline="") as stream:
        seen = list(csv.DictReader(stream))
    environment = card_environment(Path(__file__).parent)
    environment.filters.update(device=device_words, percent=percent_words, thousandths=thousandths_words)
    return environment.get_template(TEMPLATE).render(
        **records_by_part,
        model=models["quality"],
        seen=seen,
        recognised=[row for row in seen if row["recognised"] == "yes"],
    )


def percent_words(figure: Sequence[float]) -> str:
    """Return a share with its interval: "62 % (55–69 %)"."""
    value, low, high = (f"{100 * one:.0f}" for one in figure)
    return f"{value} % ({low}–{high} %)"


def thousandths_words(figure: Sequence[float]) -> str:
    """Return a KID × 1000 with its interval: "8.5 (7.9–9.2)"."""
    value, low, high = (f"{round(1000 * one, 1) + 0.0:.1f}" for one in figure)  # adding 0 makes -0.0 0.0
    return f"{value} ({low}–{high})"
