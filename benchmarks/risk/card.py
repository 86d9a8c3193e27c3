"""The cards of the embedded models, written from the records of their measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment

from apps.risk.data.mixture import FINETUNE, PRETRAIN
from apps.risk.models.residual_tails import RECENT, WORTH
from apps.risk.models.risk_model import DEFAULT, EMBEDDED, describe, model_digest
from benchmarks.exports import card_table
from benchmarks.page import card_environment, device_words
from benchmarks.record import newest
from core.errors import InputError

NEEDED = ("training", "markets-development", "markets", "long-horizon", "export")
MODELS = ("series", "loan_book")


def render_card(records: Sequence[dict[str, Any]], model: str = "series") -> str:
    """Return the card of one of `MODELS` as Markdown, from the newest record of each theme.

    Raises InputError for another model, a record that is missing, or an export of other weights than the embedded.
    """
    if model == "series":
        return _series(records)
    if model != "loan_book":
        raise InputError("option", f"model is {model!r}; there are {', '.join(MODELS)}")
    export = _newest(records, ("export",))["export"]
    _require_embedded(export["results"]["event"], EMBEDDED / "loan_book")
    return _environment().get_template("loan_book.md.j2").render(export=export)


def _series(records: Sequence[dict[str, Any]]) -> str:
    newest_records = _newest(records, NEEDED)
    _require_embedded(newest_records["export"]["results"]["series"], DEFAULT)
    targets = describe().targets
    assert targets is not None  # the embedded folder forecasts targets
    return (
        _environment()
        .get_template("series.md.j2")
        .render(
            **{part.replace("-", "_"): record for part, record in newest_records.items()},
            first_look=first_look(records),
            worth=WORTH,
            recent=RECENT,
            champion=targets.champion,
            shares={"pretrain": PRETRAIN, "finetune": FINETUNE},
        )
    )


def _newest(records: Sequence[dict[str, Any]], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    newest_records = {part: newest(list(records), f"risk-{part}") for part in wanted}
    missing = [part for part, record in newest_records.items() if record is None]
    if missing:
        raise InputError(
            "record_missing", f"no record of {', '.join(missing)}: run python -m benchmarks.risk for each"
        )
    return {part: record for part, record in newest_records.items() if record is not None}


def _require_embedded(results: Mapping[str, Any], folder: Path) -> None:
    own = model_digest(folder)
    if results["weights"] != own:
        raise InputError(
            "records_differ",
            f"the record of export is of other weights ({results['weights'][:12]}…) than those embedded"
            f" ({own[:12]}…): run python -m benchmarks.risk export",
        )


def _environment() -> Environment:
    environment = card_environment(Path(__file__).parent)
    environment.filters.update(figure=figure_words, percent=percent_words, device=device_words)
    environment.globals.update(formats=card_table)
    return environment


def first_look(records: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the oldest record of the test where there are several: whoever measures twice shows both."""
    tested = [record for record in records if record["theme"] == "risk-markets"]
    return tested[0] if len(tested) > 1 else None


def figure_words(figure: Mapping[str, float | None] | None, digits: int = 4) -> str:
    """Return a value with its interval: ".0601 (.0567–.0641)"; "–" where there is none."""
    if figure is None or figure["value"] is None:
        return "–"
    value, low, high = (f"{figure[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def percent_words(share: float | None) -> str:
    """Return a share in percent: "95 %"; "–" where there is none."""
    return "–" if share is None else f"{share:.0%}".replace("%", " %")
