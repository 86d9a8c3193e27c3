"""A table of reason codes makes errors from the code alone."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.reasons import Reasons

TABLE = Reasons(
    InputError, "Why a file is refused.", {"too_long": "{name} has {lines} lines, at most {most} are read"}
)


def test_a_code_gives_the_error_to_raise() -> None:
    error = TABLE("too_long", name="{odd} name", lines=12, most=10)
    assert type(error) is InputError
    assert (error.code, error.sentence) == ("too_long", "{odd} name has 12 lines, at most 10 are read")
    assert TABLE.sentence("too_long", name="a", lines=2, most=1) == "a has 2 lines, at most 1 are read"


def test_a_code_or_a_value_that_the_table_lacks_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError, match="too_short"):
        TABLE("too_short")
    with pytest.raises(KeyError, match="most"):
        TABLE("too_long", name="a", lines=2)
