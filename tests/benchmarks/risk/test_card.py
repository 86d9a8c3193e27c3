"""The model card is made of records alone, and is the one that is shipped."""

from __future__ import annotations

import pytest

from apps.risk.models.risk_model import DEFAULT
from benchmarks.record import read_records
from benchmarks.risk.card import figure_words, percent_words, render_card
from core.errors import InputError


def test_words_of_figures() -> None:
    assert figure_words({"value": 0.06012, "low": 0.05, "high": 0.0712}) == "0.0601 (0.0500–0.0712)"
    assert figure_words({"value": 1.5, "low": 1.0, "high": 2.0}, 1) == "1.5 (1.0–2.0)"
    assert figure_words(None) == figure_words({"value": None, "low": None, "high": None}) == "–"
    assert (percent_words(0.95), percent_words(None)) == ("95 %", "–")


def test_the_shipped_card_is_that_of_the_records() -> None:
    assert (DEFAULT / "card.md").read_text("utf-8") == render_card(read_records())


def test_a_missing_record_is_named() -> None:
    records = [record for record in read_records() if record["theme"] != "risk-markets"]
    with pytest.raises(InputError, match=r"no record of markets: run python -m benchmarks\.risk"):
        render_card(records)
