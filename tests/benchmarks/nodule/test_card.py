"""The model card: every figure of the records, both trainings, and no card from records that do not fit together."""

from __future__ import annotations

import re

import pytest

from benchmarks.nodule.card import render_card, share_words
from core.errors import InputError
from tests.benchmarks.nodule.records import group, records


def test_the_card_says_what_the_records_say() -> None:
    card = render_card(records())
    for text in (
        "**This is not a medical device.**",
        "Weights abc, working point 0.37, 1.9 million parameters.",
        "| compact | .876 | .876 | .876 | .876 | .876 | .876 | .876 | **.876** (.826–.926) |",
        "**.321** (.271–.371) |",
        "| ground-glass | .917 (.100–.950), 11 of 12 |",
        "| thin slices |",
        "| ≥ 5 mm | .830 (.100–.950), 83 of 100 |",
        "| subtlety 1 | none |",
        "9 of 10 found.",
        "1 of 2 nodules found, 3 false positives.",
        "| pleural | 1 of 2 | 3.2 | -5 % |",
        "| central | 0 of 1 | – | – |",
        "Missed: pleural 64 mm.",
        "(4 of head, 2 of legs): 5 of 6 are reported",
        "| 8.8 | .940 | yes |",
        "| 7.1 | none | no |",
        "| 0.30 | 1.000 | .700 | 3 | 3.00 | 7 |",
        "| 698 real nodules of LIDC-IDRI patients below 0530",
        "| 5 whole lungs,",
        "20 of 100 below 5 mm",
        "7500 steps in bf16 took 88 minutes of training on A CPU, 2 cores, 8 GiB, avx2",
        "the whole command 42 s and 1.87 GB at most; the networks compute 0.123 TFLOP.",
        "| judge | openvino | 2e-06 | 1.61 | 5.2 | CPM 0.88 → 0.881 |",
        "| judge | openvino_bf16 | – | – | – | not applicable: no bfloat16 |",
        "| pytorch | 9.6 |",
        "triptych-nodule stage=train of-abc\n",
        "triptych-nodule stage=train of-abc data=phantoms\n",
        "doi:10.1118/1.3528204",
        "CC BY 3.0",
        "arXiv 2405.04605",
        "`benchmarks/results/nodule-speed-mixed.json`",
    ):
        assert text in card, text
    assert "trained on phantoms only" not in card.lower()


def test_both_trainings_stand_side_by_side() -> None:
    card = render_card([*records(), *records("phantoms", "def", 0.654)])
    assert "| compact, trained on phantoms only | .654 |" in card
    assert "triptych-nodule stage=train of-def\n" in card
    assert "### Trained on phantoms only" in card
    assert "| ≥ 5 mm | .830 (.100–.950), 83 of 100 | .830 (.100–.950), 83 of 100 |" in card


@pytest.mark.parametrize("other", [[], records("phantoms", "def")])
def test_tables_have_as_many_cells_as_their_heads(other: list[dict[str, object]]) -> None:
    blocks = re.findall(r"(?:^\|.*\n)+", render_card([*records(), *other]), flags=re.MULTILINE)
    assert len(blocks) == 10
    for block in blocks:
        rows = block.splitlines()
        assert len(rows) > 2
        assert len({row.count("|") for row in rows}) == 1, block
        assert set(rows[1]) == {"|", "-"}, block


def test_the_card_is_tidy() -> None:
    card = render_card([*records(), *records("phantoms", "def")])
    assert "\n\n\n" not in card
    assert card.endswith("\n")
    assert not [line for line in card.splitlines() if line != line.rstrip()]


def test_the_newest_record_counts() -> None:
    assert "**.999** (" in render_card([*records(), *records(cpm=0.999)])


def test_a_missing_record_is_named() -> None:
    few = [record for record in records() if "speed" not in record["theme"]]
    with pytest.raises(InputError, match="no record of speed with training=mixed"):
        render_card(few)


def test_records_of_different_weights_make_no_card() -> None:
    with pytest.raises(InputError, match=r"are of different weights: training abc.*export other"):
        render_card([*records(), records(weights="other")[-1]])


def test_a_share_in_words() -> None:
    assert share_words(group(1, 1)) == "1.000 (.100–.950), 1 of 1"
    assert share_words(group(0, 0)) == "none"
