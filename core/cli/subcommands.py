"""What commands made of subcommands share: `triptych-jobs list`, `triptych-keys new`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from core.cli.reasons import CONFIG
from core.errors import ExitCode, TriptychError, where_of
from core.text.quoting import in_quotes


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ConfigErrors, one line each; its subcommands' are the same."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError, subcommand_option."""
        raise CONFIG("subcommand_option", message=message, command=self.prog)


def answer(command: str, work: Callable[[], str | int]) -> int:
    """Print the text that `work` returns and return 0, or the exit code that it returns; its errors are one line."""
    try:
        text = work()
    except SystemExit:  # argparse has shown the help page
        return ExitCode.DONE
    except TriptychError as error:
        print(f"{command}: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # its message may quote an argument
        print(f"{command}: internal fault: {type(error).__name__} at {where_of(error)}", file=sys.stderr)
        return ExitCode.FAULT
    if isinstance(text, int):
        return text
    try:
        print(text, flush=True)
    except BrokenPipeError:  # a reader that has seen enough (`| head`) is not a fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.DONE


def count(text: str) -> int:
    """Return a whole number of 1 or more, as the `type` of an argument."""
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{in_quotes(text)} is not a count: give 1 or more")
    return int(text)


def table(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as text, each column as wide as its widest cell."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)
