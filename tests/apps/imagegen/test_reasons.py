"""Every code has one sentence, is used, and is given the values that its sentence takes."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest

from apps.imagegen import reasons
from apps.imagegen.errors import PictureError, RecipeError
from apps.imagegen.reasons import PICTURE, RECIPE, FieldReasons
from core.reasons import Reasons

APP = Path(reasons.__file__).parent
TABLES = {name: table for name, table in vars(reasons).items() if isinstance(table, Reasons)}


def _uses() -> list[tuple[str, str, set[str] | None]]:
    """Return (table, code, names of values) of each call of a table in the app; None: values passed on as a whole."""
    uses = []
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "sentence":
                called = called.value
            if isinstance(called, ast.Name) and called.id in TABLES:
                first = node.args[0]
                chosen = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                codes = [one.value for one in chosen if isinstance(one, ast.Constant)]
                names = [one.arg for one in node.keywords]
                given = None if None in names else {str(name) for name in names}
                uses += [(called.id, str(code), given) for code in codes]
    return uses


USES = _uses()


def test_every_code_is_in_one_table_and_used() -> None:
    counted = Counter(code for table in TABLES.values() for code in table.sentences)
    assert [code for code, count in counted.items() if count > 1] == []
    assert {code for _, code, _ in USES} == set(counted)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_use_gives_the_values_of_its_sentence(name: str) -> None:
    table = TABLES[name]
    uses = [(code, given) for used, code, given in USES if used == name]
    assert uses
    for code, given in uses:
        wanted = {field for _, field, _, _ in Formatter().parse(table.sentences[code]) if field is not None}
        if given is not None and isinstance(table, FieldReasons):
            assert "param" in given, code
            assert given - {"param"} == wanted - {"param"}, code
        elif given is not None:
            assert given == wanted, code


def test_an_error_names_its_field() -> None:
    error = RECIPE("steps_range", param="steps", value="0", low=1, high=100)
    assert type(error) is RecipeError
    assert (error.code, error.param) == ("steps_range", "steps")
    assert error.sentence == "steps is 0; 1 to 100 is wanted"
    masked = PICTURE("image_empty", param="mask")
    assert type(masked) is PictureError
    assert masked.sentence == "the mask is an empty file"
