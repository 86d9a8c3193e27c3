from __future__ import annotations

import pytest
from pydantic import BaseModel

from apps.imagegen.service.openai_forms import OpenAIForm
from apps.imagegen.service.own_forms import OwnForm
from docs.generate.api import form_table, openai_fields, own_fields


@pytest.mark.parametrize(("make", "form"), [(openai_fields, OpenAIForm), (own_fields, OwnForm)])
def test_every_field_has_type_default_and_meaning(make, form: type[BaseModel]) -> None:
    rows = [line.split(" | ") for line in make().splitlines()[2:]]
    assert [row[0].strip("| `") for row in rows] == list(form.model_fields)
    assert len(rows) > 12
    assert all(len(row) == 4 and row[1] and row[2] and len(row[3]) > 10 for row in rows)


def test_choices_and_defaults_are_as_a_client_writes_them() -> None:
    text = openai_fields()
    assert "| `prompt` | string | must be given |" in text
    assert "| `output_format` | `png`, `jpeg`, `webp` | `png` |" in text
    assert "| `stream` | boolean | `false` |" in text
    assert "| `seed` | integer | `null` |" in text


def test_a_field_without_a_docstring_is_named() -> None:
    class Form(BaseModel):
        size: str = ""

    with pytest.raises(AssertionError, match=r"Form\.size has no docstring"):
        form_table(Form)
