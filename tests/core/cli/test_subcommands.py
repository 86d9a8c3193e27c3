"""What commands made of subcommands share."""

from __future__ import annotations

import pytest

from core.cli.subcommands import Parser, answer, count, table
from core.errors import ConfigError, InputError


def test_a_text_is_printed_and_a_code_is_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert (answer("cmd", lambda: "one line"), answer("cmd", lambda: 4)) == (0, 4)
    assert capsys.readouterr() == ("one line\n", "")


def test_what_goes_wrong_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> str:
        raise InputError("odd", "it is odd")

    def fault() -> str:
        raise ValueError("secret")

    assert (answer("cmd", refused), answer("cmd", fault)) == (2, 3)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "cmd: it is odd"
    assert second.startswith("cmd: internal fault: ValueError at tests/core/cli/test_subcommands.py:")


def test_a_parser_raises_with_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="cmd")
    parser.add_argument("--count", type=count)
    with pytest.raises(ConfigError) as caught:
        parser.parse_args(["--count", "0"])
    assert caught.value.sentence == (
        "argument --count: '0' is not a count: give 1 or more; `cmd --help` shows what there is"
    )
    assert parser.parse_args(["--count", "3"]).count == 3
    assert answer("cmd", lambda: str(parser.parse_args(["--help"]))) == 0
    assert "usage: cmd" in capsys.readouterr().out


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table([("A", "LONG"), ("word", 1), ("x", "")]) == "A     LONG\nword  1\nx"
