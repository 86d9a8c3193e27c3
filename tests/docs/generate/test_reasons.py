from __future__ import annotations

from types import ModuleType

from apps.nodule import reasons as nodule
from core.errors import InputError, ItemRefused
from core.reasons import Reasons
from core.serving.service_error import ServiceReasons
from docs.generate import reasons
from docs.generate.reasons import reason_modules, reason_tables, reasons_page, sentence_tables


def test_every_code_of_every_table_is_on_the_page_with_its_sentence() -> None:
    page = reasons_page()
    codes = []
    for module in reason_modules():
        codes += [code for table in reason_tables(module).values() for code in table.sentences]
        codes += [code for table in sentence_tables(module).values() for code in table]
    assert len(codes) > 60
    assert [code for code in codes if f"| `{code}` | " not in page] == []


def test_a_table_names_what_is_refused_and_the_exit_code(monkeypatch) -> None:
    module = ModuleType("apps.one.reasons")
    module.WHOLE = Reasons(InputError, "the input of a command", {"gone": "{path} is gone"})
    module.ITEM = Reasons(ItemRefused, "a row", {"odd": "the row is odd"})
    monkeypatch.setattr(reasons, "reason_modules", lambda: [module])
    page = reasons_page()
    assert "## triptych-one { #one }\n\nDeclared in `apps/one/reasons.py`." in page
    assert "### The input of a command: exit code 2" in page
    assert "| `gone` | \\{path\\} is gone |" in page
    assert "### A row: one item is set aside, exit code 4" in page


def test_answers_over_http_have_their_status(monkeypatch) -> None:
    module = ModuleType("apps.one.service.reasons")
    module.BODY = ServiceReasons("the body of a request", {"body_odd": (415, "the body is {kind}")})
    monkeypatch.setattr(reasons, "reason_modules", lambda: [module])
    page = reasons_page()
    assert "### The body of a request: answered over HTTP" in page
    assert "| `body_odd` | 415 | the body is \\{kind\\} |" in page


def test_the_verdicts_on_a_series_are_grouped_by_status() -> None:
    tables = sentence_tables(nodule)
    assert len(tables) == 4
    assert "localiser" in tables["Status `skipped`: left aside by rule, no fault"]
    assert sentence_tables(ModuleType("empty")) == {}
