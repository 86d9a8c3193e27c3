"""Every code of the image service is used, by one table, and no code or sentence stands where it is raised."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

from apps.imagegen import reasons as recipes
from apps.imagegen.service import reasons
from apps.imagegen.service.reasons import BODY, FIELD, SERVICE
from core.reasons import Reasons
from core.serving import reasons as common

FOLDER = Path(reasons.__file__).parent
TABLES = {name: table for name, table in vars(reasons).items() if isinstance(table, Reasons)}
SOURCES = {path: path.read_text("utf-8") for path in FOLDER.glob("*.py") if path.name != "reasons.py"}


def test_every_code_is_in_one_table_and_used() -> None:
    codes = [code for table in TABLES.values() for code in table.sentences]
    others = [
        one for module in (recipes, common) for one in vars(module).values() if isinstance(one, Reasons)
    ]
    assert len(codes) == len(set(codes)) > 20
    assert set(codes) & {code for table in others for code in table.sentences} == set()
    text = "\n".join(SOURCES.values())
    assert [code for code in codes if f'"{code}"' not in text] == []


def test_every_use_gives_the_values_of_its_sentence() -> None:
    checked = 0
    for text in SOURCES.values():
        for node in ast.walk(ast.parse(text)):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TABLES
            ):
                continue
            code = node.args[0]
            if isinstance(code, ast.Constant):
                sentence = TABLES[node.func.id].sentences[str(code.value)]
                fields = {field for _, field, _, _ in Formatter().parse(sentence) if field is not None}
                given = {str(one.arg) for one in node.keywords} - {"headers"}
                assert given | {"param"} == fields | {"param"}, code.value
                assert "param" not in fields or "param" in given, code.value
                checked += 1
    assert checked > 25


def test_no_code_is_written_where_it_is_raised() -> None:
    assert len(SOURCES) > 10
    for path, text in SOURCES.items():
        literal = re.search(r'\b(ServiceError|ConfigError|InputError|RecipeError)\((\d+, )?f?"', text)
        assert literal is None, path
        assert '.startswith("the ' not in text, path


def test_answers_have_their_status() -> None:
    assert BODY("field_twice", param="prompt", type="value").status == 400
    assert FIELD("model_not_found", param="model", name="x", served="emoji").status == 404
    assert SERVICE("engine_ended").status == 503
