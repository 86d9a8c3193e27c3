"""What a user gave is quoted printable, on one line, and short."""

from __future__ import annotations

import pytest

from core.text.quoting import quoted, shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", '"a b"'),
        (12, "12"),
        (None, "null"),
        (["a", 1], '["a", 1]'),
        ("two\nlines", '"two\\nlines"'),
        ("\ud800\u202e", '"\\ud800\\u202e"'),
        ("x" * 100, '"' + "x" * 59 + "..."),
    ],
)
def test_a_value_is_quoted_in_ascii_and_short(value: object, text: str) -> None:
    assert quoted(value) == text


def test_what_json_cannot_write_is_quoted_all_the_same() -> None:
    assert quoted({1, 2}) == "{1, 2}"


@pytest.mark.parametrize(
    ("given", "text"),
    [("plain name", "plain name"), ("ключ", "\\u043a\\u043b\\u044e\\u0447"), ("a\tb", "a\\tb")],
)
def test_a_text_without_marks_is_printable(given: str, text: str) -> None:
    assert shortened(given) == text


def test_a_text_is_cut_where_it_is_said() -> None:
    assert shortened("abcdef", most=4) == "abcd..."
