from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from core.errors import ConfigError
from core.settings.schema import (
    EVERY,
    MISSING,
    Section,
    build,
    describe_range,
    free_text,
    path_text,
    section,
    setting,
    stages_by_field,
    value_at,
    walk,
    with_absolute_paths,
)


@dataclass
class Oven(Section):
    where: ClassVar[str] = "oven"

    heat: float = setting(180.0, "temperature", unit="°C", low=30, high=300)
    rate: float = setting(1.0, "heating rate", above=0)
    trays: list[int] = setting([1, 2], "which trays", low=1, high=4)
    mode: str = setting("fan", "how it heats", choices=("fan", "grill"))
    note: str | None = free_text(None, "a label")


@dataclass
class Kitchen(Section):
    task: str = setting(MISSING, "what to do", choices=("bake", "cook"), needed_by=("bake",))
    oven: Oven = field(default_factory=Oven)


def test_values_inside_pass_and_defaults_are_not_shared() -> None:
    first, second = Oven(heat=30, trays=[4]), Oven()
    first.trays.append(9)
    assert second.trays == [1, 2]
    assert Oven().trays == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"heat": 301.0},
            "oven.heat=301.0 is out of range: allowed is 30 to 300 °C; set oven.heat within it",
        ),
        (
            {"heat": float("nan")},
            "oven.heat=nan is out of range: allowed is 30 to 300 °C; set oven.heat within it",
        ),
        ({"rate": 0.0}, "oven.rate=0.0 is out of range: allowed is more than 0; set oven.rate within it"),
        (
            {"rate": float("inf")},
            "oven.rate=inf is out of range: allowed is more than 0; set oven.rate within it",
        ),
        ({"trays": [1, 5]}, "oven.trays=[1, 5] is out of range: allowed is 1 to 4; set oven.trays within it"),
        ({"mode": "steam"}, "oven.mode=steam is not one of fan, grill"),
    ],
)
def test_a_value_outside_is_named_with_range_and_cure(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Oven(**wrong)  # type: ignore[arg-type]
    assert caught.value.sentence == sentence


def test_a_missing_value_passes_here_as_the_command_line_names_it() -> None:
    assert Kitchen().task == MISSING


def test_walk_gives_full_paths_in_order() -> None:
    paths = [path for path, _ in walk(Kitchen)]
    assert paths == ["task", "oven.heat", "oven.rate", "oven.trays", "oven.mode", "oven.note"]
    assert [path for path, _ in walk(Kitchen(task="bake"))] == paths


def test_ranges_in_words() -> None:
    words = {path: describe_range(field.metadata) for path, field in walk(Kitchen)}
    assert words["oven.heat"] == "30 to 300 °C"
    assert words["oven.rate"] == "more than 0"
    assert words["oven.note"] == ""
    assert describe_range({"low": 1, "unit": "steps"}) == "1 or more steps"
    assert describe_range({"high": 1}) == "at most 1"
    assert describe_range({"low": 0, "high": 2**63 - 1}) == "0 to 9223372036854775807"


def test_objects_are_built_from_plain_values_and_checked() -> None:
    kitchen = build(Kitchen, {"task": "bake", "oven": {"heat": 200.0, "note": "${x}"}})
    assert (value_at(kitchen, "oven.heat"), value_at(kitchen, "oven.note")) == (200.0, "${x}")
    assert value_at(kitchen, "task") == "bake"
    with pytest.raises(ConfigError, match=r"oven\.heat=2\.0 is out of range"):
        build(Kitchen, {"oven": {"heat": 2.0}})
    with pytest.raises(ConfigError, match='unknown field "cold" of Oven'):
        build(Kitchen, {"oven": {"cold": 1}})


def test_a_path_says_whether_it_is_read() -> None:
    @dataclass
    class Door(Section):
        key: str | None = path_text(None, "file of the key", exists=True, deferred_by="later")
        later: str | None = free_text(None, "when it is read")

    fields = {path: field.metadata for path, field in walk(Door)}
    assert (fields["key"]["path"], fields["key"]["exists"], fields["key"]["deferred_by"]) == (
        True,
        True,
        "later",
    )
    assert (fields["later"]["path"], fields["later"]["free_text"]) == (False, True)


def test_a_field_is_read_by_its_own_stages_else_by_those_that_need_it_else_by_its_sections() -> None:
    @dataclass
    class Tray(Section):
        depth: int = setting(1, "depth")
        glaze: str | None = free_text(None, "what it is glazed with", stages=("bake",))

    @dataclass
    class Bakery(Section):
        stage: str = setting(
            MISSING, "what to do", choices={"bake": "bake it", "cook": "cook it"}, stages=EVERY
        )
        dough: str | None = free_text(None, "what is baked", needed_by=("bake",))
        tray: Tray = section(Tray, stages=("bake", "cook"))
        lost: int = setting(1, "nobody reads it")

    assert stages_by_field(Bakery) == {
        "stage": ("bake", "cook"),
        "dough": ("bake",),
        "tray.depth": ("bake", "cook"),
        "tray.glaze": ("bake",),
        "lost": (),
    }


def test_relative_paths_are_made_absolute_and_urls_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Cellar(Section):
        shelf: str | None = path_text("a/b", "where it lies")
        other: str | None = path_text(None, "another")

    @dataclass
    class House(Section):
        note: str | None = free_text("a/b", "a text that is not a path")
        base: str | None = path_text("postgresql://host/db", "database")
        file: str | None = path_text("sqlite:///db.sqlite", "database in a file")
        rooted: str | None = path_text("/x", "already absolute")
        rooted_file: str | None = path_text("sqlite:////db.sqlite", "the same, of a database in a file")
        cellar: Cellar = section(Cellar)

    monkeypatch.chdir(tmp_path)
    moved = with_absolute_paths(House())
    assert (moved.note, moved.base, moved.rooted) == ("a/b", "postgresql://host/db", "/x")
    assert (moved.file, moved.rooted_file) == (f"sqlite:///{tmp_path}/db.sqlite", "sqlite:////db.sqlite")
    assert moved.cellar == Cellar(shelf=f"{tmp_path}/a/b")
    again = with_absolute_paths(moved)
    assert again == moved
