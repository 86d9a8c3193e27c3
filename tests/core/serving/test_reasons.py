"""Every code of the services' core is used, and given the values that its sentence takes."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

from core.reasons import Reasons
from core.serving import reasons
from core.serving.reasons import LIMITS, STATE

TABLES = {name: table for name, table in vars(reasons).items() if isinstance(table, Reasons)}


def test_every_code_is_in_one_table_and_used() -> None:
    codes = [code for table in TABLES.values() for code in table.sentences]
    assert len(codes) == len(set(codes)) > 10
    files = [path for path in Path(reasons.__file__).parent.glob("*.py") if path.name != "reasons.py"]
    text = "\n".join(path.read_text("utf-8") for path in files)
    assert [code for code in codes if f'"{code}"' not in text] == []


def test_sentences_take_named_values() -> None:
    for table in TABLES.values():
        for sentence in table.sentences.values():
            fields = [field for _, field, _, _ in Formatter().parse(sentence) if field is not None]
            assert all(re.fullmatch(r"[a-z]+", field) for field in fields), sentence


def test_an_answer_has_its_status() -> None:
    assert LIMITS("body_too_large", most=1000).status == 413
    assert (
        LIMITS("body_too_large", most=1000).sentence == "the body has more than 1,000 bytes, the most taken"
    )
    assert STATE("internal_error", request="a1").status == 500
