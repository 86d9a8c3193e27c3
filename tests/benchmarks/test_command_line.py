"""Words become options or are named; what is wrong ends in one line; help is not a fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.command_line import answer, from_records, parse, to_repeat, whole
from core.errors import InputError
from core.runs.files import write_json
from tests.benchmarks.nodule.records import records


def test_words_become_options() -> None:
    assert parse(["weights=a b=c", "days="], ["weights", "days"]) == {"weights": "a b=c", "days": ""}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("weights", "'weights' is not an option: write NAME=VALUE"),
        ("=x", "'=x' is not an option: write NAME=VALUE"),
        ("colour=red", "'colour' is not an option; there are weights, days"),
    ],
)
def test_a_wrong_word_is_named(word: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse([word], ["weights", "days"])
    assert caught.value.sentence == sentence


def test_whole_numbers() -> None:
    assert (whole("count", "12"), whole("seed", "0", low=0)) == (12, 0)


@pytest.mark.parametrize(
    ("text", "low", "sentence"),
    [
        ("0", 1, "n is '0', wanted a whole number above 0"),
        ("many", 1, "n is 'many', wanted a whole number above 0"),
        ("-1", 0, "n is '-1', wanted a whole number"),
        ("1.5", 0, "n is '1.5', wanted a whole number"),
        ("٣", 0, "n is '٣', wanted a whole number"),
    ],
)
def test_what_is_no_whole_number_is_named(text: str, low: int, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        whole("n", text, low)
    assert caught.value.sentence == sentence


def test_of_a_path_only_the_last_part_is_repeated() -> None:
    values = {"weights": "/a/b/w", "output": "", "days": 60}
    assert to_repeat("risk", "markets", values, ("weights", "output")) == (
        "python -m benchmarks.risk markets weights=w output= days=60"
    )


def test_the_first_word_is_done_and_a_fault_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    done: list[tuple[str, Sequence[str]]] = []

    def work(name: str, words: Sequence[str]) -> None:
        done.append((name, words))
        if words == ["bad"]:
            raise InputError("option", "it is bad")

    assert answer(["speed", "n=1"], "how to", work) == 0
    assert answer(["speed", "bad"], "how to", work) == 2
    assert (*capsys.readouterr(),) == ("", "it is bad\n")
    assert (answer([], "how to", work), answer(["--help"], "how to", work)) == (2, 0)
    assert capsys.readouterr().out == "how to\n" * 2
    assert done == [("speed", ["n=1"]), ("speed", ["bad"])]


def test_card_and_page_are_written_from_the_records(tmp_path: Path) -> None:
    for record in records():
        write_json(
            tmp_path / record["file"],
            {"headline": {}, "git": None, "seconds": 1, "peak_memory_mb": 1} | record,
        )
    card = tmp_path / "card.md"
    from_records("card", tmp_path, str(card), lambda records: f"{len(records)} records", ["speed"])
    assert card.read_text("utf-8") == f"{len(records())} records"
    from_records("page", tmp_path, None, lambda records: "", ["speed"])
    assert "## nodule-speed-mixed" in (tmp_path / "README.md").read_text("utf-8")
    with pytest.raises(InputError, match="add output=FILE"):
        from_records("card", tmp_path, "", lambda records: "", ["speed"])
    with pytest.raises(InputError, match="'guess' is not a measurement; there are speed, card, page"):
        from_records("guess", tmp_path, None, lambda records: "", ["speed"])
