"""The model card of the embedded riskformer, written from the records of its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.risk.data.mixture import FINETUNE, PRETRAIN
from apps.risk.models.residual_tails import RECENT, WORTH
from apps.risk.models.risk_model import describe
from benchmarks.page import card_environment, device_words
from benchmarks.record import newest
from core.errors import InputError

TEMPLATE = "series.md.j2"
NEEDED = ("training", "markets-development", "markets", "long-horizon")


def render_card(records: Sequence[dict[str, Any]]) -> str:
    """Return the card as Markdown, from the newest record of each theme. Raises InputError where one is missing."""
    newest_records = {part: newest(list(records), f"risk-{part}") for part in NEEDED}
    missing = [part for part, record in newest_records.items() if record is None]
    if missing:
        raise InputError(
            "record_missing", f"no record of {', '.join(missing)}: run python -m benchmarks.risk for each"
        )
    targets = describe().targets
    assert targets is not None  # the embedded folder forecasts targets
    environment = card_environment(Path(__file__).parent)
    environment.filters.update(figure=figure_words, percent=percent_words, device=device_words)
    return environment.get_template(TEMPLATE).render(
        **{part.replace("-", "_"): record for part, record in newest_records.items()},
        first_look=first_look(records),
        worth=WORTH,
        recent=RECENT,
        champion=targets.champion,
        shares={"pretrain": PRETRAIN, "finetune": FINETUNE},
    )


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
