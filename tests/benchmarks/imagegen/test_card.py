"""The model card is made of records and of one person's look, and is the one that is shipped."""

from __future__ import annotations

import copy

import pytest

from apps.imagegen.models.pipeline_folder import EMBEDDED, load_pipeline
from benchmarks.imagegen.card import percent_words, render_card, thousandths_words
from benchmarks.record import newest, read_records
from core.errors import InputError


def test_words_of_figures() -> None:
    assert percent_words([0.621, 0.551, 0.689]) == "62 % (55–69 %)"
    assert thousandths_words([0.00851, 0.0079, 0.0092]) == "8.5 (7.9–9.2)"
    assert thousandths_words([0.00001, -0.00003, 0.0002]) == "0.0 (0.0–0.2)"


def test_the_shipped_card_is_that_of_the_records() -> None:
    assert (EMBEDDED / "card.md").read_text("utf-8") == render_card(read_records())


def test_its_records_are_of_the_shipped_weights() -> None:
    quality = newest(read_records(), "imagegen-quality")
    assert quality is not None
    assert quality["results"]["model"] == load_pipeline().digest


def test_a_missing_record_is_named() -> None:
    records = [record for record in read_records() if record["theme"] != "imagegen-engine"]
    with pytest.raises(InputError, match=r"no record of engine: run python -m benchmarks\.imagegen"):
        render_card(records)


def test_records_of_two_models_are_refused() -> None:
    records = copy.deepcopy(read_records())
    for record in records:
        if record["theme"] == "imagegen-service":
            record["results"]["model"] = "0" * 64
    with pytest.raises(InputError, match=r"different models: .*service 0{12}"):
        render_card(records)
