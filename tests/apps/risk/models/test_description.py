"""model.json: what is written is read back, and what is wrong with it is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps.risk.data.columns import Columns
from apps.risk.models.description import (
    FILE,
    Description,
    EventPart,
    TargetsPart,
    columns_of,
    read_description,
    write_description,
)
from apps.risk.models.risk_model import DEFAULT, EMBEDDED
from core.errors import InputError

TARGETS = TargetsPart("tft", {"tft": {}, "deepar": {}}, until="2024-03-20")
EVENT = EventPart(
    champion="scorecard",
    models={"scorecard": {"context": 24}},
    horizon=12,
    columns=Columns(targets=(), event="bad", statics=("branch",)),
    categories={"branch": ("north", "south")},
)


@pytest.mark.parametrize(
    "description",
    [Description(), Description(TARGETS), Description(None, EVENT), Description(TARGETS, EVENT)],
)
def test_what_is_written_is_read(description: Description, tmp_path: Path) -> None:
    write_description(tmp_path / "new", description)
    assert read_description(tmp_path / "new") == description


@pytest.mark.parametrize("folder", [DEFAULT, EMBEDDED / "loan_book"])
def test_the_embedded_descriptions_are_written_as_they_stand(folder: Path, tmp_path: Path) -> None:
    """Their bytes are part of the digest of a model."""
    write_description(tmp_path, read_description(folder))
    again, shipped = (json.loads((path / FILE).read_text()) for path in (tmp_path, folder))
    if again.get("event"):
        for one in (again, shipped):
            roles = one["event"]["columns"]
            one["event"]["columns"] = {name: value for name, value in roles.items() if value is not None}
    assert again == shipped


def test_names_and_dates_are_those_of_a_part() -> None:
    both = Description(TARGETS, EVENT)
    assert both.names("targets") == ("tft", "deepar")
    assert both.names("event") == ("scorecard",)
    assert Description().names("event") == ()
    assert (both.until("targets"), both.until("event"), Description().until("event")) == (
        "2024-03-20",
        None,
        None,
    )
    assert (both.categories, Description(TARGETS).categories) == ({"branch": ("north", "south")}, None)


def test_covariates_need_the_second_format() -> None:
    assert Description(TARGETS, EVENT).format == 1
    assert Description(TargetsPart("riskformer", {"riskformer": {"covariates": {}}})).format == 2


GOOD: dict[str, Any] = {"format": 1, "targets": {"champion": "tft", "models": {}}}


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, "weights_missing", "has no model.json"),
        ("{", "description_unreadable", "cannot be read as the description of a model"),
        ([], "description_unreadable", "cannot be read as the description of a model"),
        ({"format": 99}, "weights_newer", "is of format 99"),
        ({**GOOD, "context": 32}, "description_field_unknown", 'has an unknown field "context"'),
        ({**GOOD, "targets": {"models": {}}}, "description_field_missing", 'has no field "targets.champion"'),
        ({**GOOD, "targets": {**GOOD["targets"], "x": 1}}, "description_field_unknown", '"targets.x"'),
        ({"format": 1, "event": {"champion": "scorecard"}}, "description_field_missing", '"event.models"'),
        ({**GOOD, "targets": []}, "description_unreadable", "cannot be read"),
        ({**GOOD, "targets": {"champion": "tft", "models": 3}}, "description_unreadable", "cannot be read"),
    ],
)
def test_a_description_that_is_not_one_is_refused(content: Any, code: str, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_description(tmp_path)
    assert caught.value.code == code
    assert said in caught.value.sentence
    assert str(tmp_path) in caught.value.sentence


def test_columns_come_back_from_json() -> None:
    content = json.loads(json.dumps({"targets": ["a", "b"], "statics": ["c"], "zone": None}))
    assert columns_of(content) == Columns(targets=("a", "b"), statics=("c",))
    with pytest.raises(TypeError):
        columns_of({"unknown": 1})
