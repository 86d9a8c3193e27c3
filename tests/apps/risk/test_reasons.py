"""The tables of reason codes: each code once, each sentence whole, and every code that the app uses in one of them."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from apps.risk import reasons
from core.reasons import Reasons

APP = Path(reasons.__file__).parent
TABLES = {name: table for name, table in vars(reasons).items() if isinstance(table, Reasons)}
ERRORS = ("OPTIONS", "INPUTS", "AWAITED", "INTERRUPTIONS", "DEFECTS")
CODES = [(name, code) for name, table in TABLES.items() for code in table.sentences]


def _calls() -> list[tuple[str, str, ast.Call]]:
    """Return table, code and call wherever the app asks a table for an error or a sentence of a code written there."""
    uses = []
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            table = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            if isinstance(table, ast.Name) and table.id in TABLES:
                uses.append((table.id, str(node.args[0].value), node))
    return uses


def test_each_code_stands_in_one_table() -> None:
    often = Counter(code for _, code in CODES)
    assert len(often) > 100
    assert {code for code, count in often.items() if count > 1} == set()
    assert [code for code in often if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)] == []


@pytest.mark.parametrize(("table", "code"), CODES)
def test_a_sentence_is_one_plain_line(table: str, code: str) -> None:
    sentence = TABLES[table].sentences[code]
    assert sentence == sentence.strip()
    assert not sentence.endswith(".")
    assert "\n" not in sentence
    assert not re.search(r"  |(?<!there )is no |\btold\b|\bmend\b|foretell", sentence)


def test_every_code_that_is_asked_for_has_a_sentence_with_those_values() -> None:
    calls = _calls()
    assert len(calls) > 80
    for table, code, call in calls:
        sentence = TABLES[table].sentences[code]
        wanted = {name.partition(":")[0] for name in re.findall(r"\{(\w+(?::[^}]*)?)\}", sentence)}
        assert wanted <= {keyword.arg for keyword in call.keywords}, code


def test_every_code_of_an_error_is_raised_somewhere() -> None:
    asked = {(table, code) for table, code, _ in _calls()}
    errors = {(table, code) for table, code in CODES if table in ERRORS}
    assert errors - asked == set()


def test_every_reason_of_a_forecast_and_a_row_is_in_its_table() -> None:
    text = "\n".join(
        path.read_text(encoding="utf-8") for path in APP.rglob("*.py") if path.name != "reasons.py"
    )
    for table in ("ROWS", "SERIES"):
        for code in TABLES[table].sentences:
            assert f'"{code}"' in text, f"{table} has {code}, which nothing uses"


def test_every_note_is_written_from_the_table_with_its_values() -> None:
    calls = {}
    literals = set()
    for path in APP.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and path.name != "reasons.py":
                literals.add(node.value)
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if name == "note" and isinstance(node.args[0], ast.Constant):
                calls[node.args[0].value] = {keyword.arg for keyword in node.keywords}
    assert len(calls) > 5
    for code, given in calls.items():
        fields = set(re.findall(r"\{(\w+)\}", reasons.NOTE_SENTENCES[code]))
        assert None in given or given == fields, code
    assert set(reasons.NOTE_SENTENCES) <= literals, "a note that nothing writes"
    assert not set(reasons.NOTE_SENTENCES) & {code for _, code in CODES}
