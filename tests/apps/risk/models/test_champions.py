"""The champion of an evaluation is found by label; a file that is none, or of another table, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.risk.config import EVENT_MODELS, TARGET_MODELS
from apps.risk.models.champions import CHAMPIONS, champion_of, read_champions
from core.errors import InputError
from core.runs.files import write_json


def test_it_is_read_from_the_file_or_the_folder(tmp_path: Path) -> None:
    write_json(tmp_path / CHAMPIONS, {"gain": {"champion": "gjr_garch", "rule": "least loss"}})
    assert read_champions(tmp_path) == read_champions(tmp_path / CHAMPIONS) == {"gain": "gjr_garch"}


@pytest.mark.parametrize("content", [None, "{", "[]", '{"gain": "gjr_garch"}', '{"gain": {"rule": "x"}}'])
def test_what_is_no_choice_is_refused(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / CHAMPIONS).write_text(content)
    with pytest.raises(
        InputError, match=r"champion\.json is not a champion\.json of stage=evaluate"
    ) as caught:
        read_champions(tmp_path)
    assert caught.value.code == "champion_unreadable"


def test_all_labels_have_one_champion() -> None:
    champions = {"gain": "gjr_garch", "loss": "gjr_garch", "bad": "boosting"}
    assert champion_of(champions, ("gain", "loss"), TARGET_MODELS) == "gjr_garch"
    assert champion_of(champions, ("bad",), EVENT_MODELS) == "boosting"
    assert champion_of({}, (), TARGET_MODELS) == "champion"


@pytest.mark.parametrize(
    ("labels", "code", "sentence"),
    [
        (("gain", "price"), "champion_missing", 'chose champions of gain, loss, bad, and none of "price"'),
        (("gain", "loss"), "champion_differs", 'are gjr_garch of "gain", tft of "loss": score them apart'),
        (("bad",), "champion_unknown", '"boosting" cannot forecast "bad"; there are riskformer, tft'),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: tuple[str, ...], code: str, sentence: str) -> None:
    champions = {"gain": "gjr_garch", "loss": "tft", "bad": "boosting"}
    with pytest.raises(InputError) as caught:
        champion_of(champions, labels, TARGET_MODELS)
    assert caught.value.code == code
    assert sentence in caught.value.sentence
