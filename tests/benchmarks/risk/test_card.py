"""The model cards are made of records alone, and are those that are shipped."""

from __future__ import annotations

import pytest

from apps.risk.models.risk_model import EMBEDDED
from benchmarks.record import read_records
from benchmarks.risk.card import MODELS, figure_words, percent_words, render_card
from core.errors import InputError


def test_words_of_figures() -> None:
    assert figure_words({"value": 0.06012, "low": 0.05, "high": 0.0712}) == "0.0601 (0.0500–0.0712)"
    assert figure_words({"value": 1.5, "low": 1.0, "high": 2.0}, 1) == "1.5 (1.0–2.0)"
    assert figure_words(None) == figure_words({"value": None, "low": None, "high": None}) == "–"
    assert (percent_words(0.95), percent_words(None)) == ("95 %", "–")


@pytest.mark.parametrize("model", MODELS)
def test_the_shipped_card_is_that_of_the_records(model: str) -> None:
    assert (EMBEDDED / model / "card.md").read_text("utf-8") == render_card(read_records(), model)


@pytest.mark.parametrize(("model", "part"), [("series", "series"), ("loan_book", "event")])
def test_an_export_of_other_weights_is_refused(model: str, part: str) -> None:
    records = read_records()
    for record in records:
        if record["theme"] == "risk-export":
            record["results"][part]["weights"] = "0" * 64
    with pytest.raises(InputError, match=r"of other weights \(000000000000…\)"):
        render_card(records, model)


def test_a_card_of_another_model_is_refused() -> None:
    with pytest.raises(InputError, match="model is 'loans'; there are series, loan_book"):
        render_card([], "loans")


def test_a_missing_record_is_named() -> None:
    records = [record for record in read_records() if record["theme"] != "risk-markets"]
    with pytest.raises(InputError, match=r"no record of markets: run python -m benchmarks\.risk"):
        render_card(records)
