"""The model card of the compact detector, written from the records of its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.nodule.metrics.froc import RATES
from apps.nodule.models.compact_detector import MOST
from benchmarks.exports import card_table
from benchmarks.page import card_environment, device_words
from benchmarks.record import newest
from core.errors import InputError

TEMPLATE = "compact.md.j2"
NEEDED = (
    "training",
    "threshold",
    "phantoms",
    "development",
    "masses",
    "unseen",
    "speed",
    "export",
)  # of the weights that are shipped
OTHER = ("training", "threshold", "phantoms", "development")  # of those trained on phantoms alone


def render_card(records: Sequence[dict[str, Any]]) -> str:
    """Return the card as Markdown.

    Takes the newest record of each theme. Raises InputError where one of the shipped weights is missing, or where
    records of one training are of different weights.
    """
    shipped = gather(records, "mixed", NEEDED)
    other = gather(records, "phantoms", OTHER) if _any(records, "phantoms") else None
    environment = card_environment(Path(__file__).parent)
    environment.filters.update(
        percent=percent_words, share=share_words, ci=interval_words, device=device_words, short=_short
    )
    environment.globals.update(missed=missed_words, formats=card_table)
    return environment.get_template(TEMPLATE).render(
        shipped=shipped,
        other=other,
        rates=[f"{rate:g}" for rate in RATES],
        most_judged=MOST,
    )


def gather(records: Sequence[dict[str, Any]], training: str, wanted: Sequence[str]) -> dict[str, Any]:
    """Return the newest record of each part, all of the same weights."""
    newest_records = {part: newest(list(records), f"nodule-{part}-{training}") for part in wanted}
    missing = [part for part, record in newest_records.items() if record is None]
    if missing:
        raise InputError("record_missing", f"no record of {', '.join(missing)} with training={training}")
    weights = {part: record["results"]["weights"] for part, record in newest_records.items() if record}
    if len(set(weights.values())) > 1:
        listed = ", ".join(f"{part} {digest}" for part, digest in weights.items())
        raise InputError(
            "records_differ", f"the records of training={training} are of different weights: {listed}"
        )
    return newest_records


def share_words(group: Mapping[str, Any]) -> str:
    """Return a group's sensitivity, interval and counts: ".912 (.870–.950), 103 of 113"."""
    if not group["count"]:
        return "none"
    return f"{_short(group['sensitivity'])} ({interval_words(group['interval'])}), {group['found']} of {group['count']}"


def missed_words(group: Mapping[str, Any]) -> str:
    """Return how many of a group were missed: "10 of 113"."""
    return f"{group['count'] - group['found']} of {group['count']}"


def interval_words(interval: Sequence[float]) -> str:
    """Return an interval as ".870–.950"."""
    return "–".join(_short(value) for value in interval)


def percent_words(value: float | None) -> str:
    """Return a signed share as "+5 %"."""
    return "–" if value is None else f"{100 * value:+.0f} %"


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _any(records: Sequence[dict[str, Any]], training: str) -> bool:
    return any(record["theme"].endswith(f"-{training}") for record in records)
