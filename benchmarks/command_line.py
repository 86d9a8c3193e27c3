"""What `python -m benchmarks.<app> MEASUREMENT [NAME=VALUE ...]` has in common, whatever is measured."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import render_page
from benchmarks.record import RESULTS, measure, read_records
from core.errors import InputError, TriptychError
from core.runs.files import write_text


def answer(words: Sequence[str], usage: str | None, work: Callable[[str, Sequence[str]], None]) -> int:
    """Do what the first word says, with the others; return 2 with one line on stderr where the input does not serve.

    usage: what help prints; without any word it is printed, too, and 2 returned.
    """
    if not words or words[0] in ("-h", "--help"):
        print(usage)
        return 0 if words else 2
    try:
        work(words[0], words[1:])
    except TriptychError as error:
        print(error.sentence, file=sys.stderr)
        return int(error.exit_code)
    return 0


def function_of(package: str, measurement: str) -> Callable[..., dict[str, Any]]:
    """Return run() of a measurement's file."""
    run: Callable[..., dict[str, Any]] = importlib.import_module(f"benchmarks.{package}.{measurement}").run
    return run


def measure_by_name(
    package: str,
    name: str,
    words: Sequence[str],
    measurements: Sequence[str],
    theme_of: Callable[[Mapping[str, str]], str],
    paths: Collection[str] = (),
) -> None:
    """Run a measurement of a package and write its record, or write the page.

    theme_of: options → what the theme of the record adds to its name. paths: as `to_repeat` takes them.
    """
    run = function_of(package, name) if name in measurements else None
    values = parse(words, ["results", *(inspect.signature(run).parameters if run else ["output"])])
    folder = Path(values.pop("results", str(RESULTS)))
    if run is None:
        from_records(name, folder, values.get("output"), _no_card, measurements)
        return
    theme = f"{package}-{name}{theme_of(values)}"
    print(measure(theme, to_repeat(package, name, values, paths), lambda: run(**values), folder))


def _no_card(_: Sequence[dict[str, Any]]) -> str:
    raise InputError("measurement", "there is no model card of this; there is the page")


def parse(words: Sequence[str], known: Collection[str]) -> dict[str, str]:
    """Turn NAME=VALUE words into a mapping. Raises InputError for a word of another form, or another name."""
    values = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InputError("option", f"{word!r} is not an option: write NAME=VALUE")
        if name not in known:
            raise InputError("option", f"{name!r} is not an option; there are {', '.join(known)}")
        values[name] = value
    return values


def whole(name: str, text: str, low: int = 1) -> int:
    """Return a whole number. Raises InputError for other text, and for a number below `low`."""
    if not (text.isascii() and text.isdecimal()) or int(text) < low:
        bound = f" above {low - 1}" if low else ""
        raise InputError("option", f"{name} is {text!r}, wanted a whole number{bound}")
    return int(text)


def to_repeat(app: str, measurement: str, values: Mapping[str, Any], paths: Collection[str]) -> str:
    """Return what to type to repeat a measurement. paths: names of which only the value's last part is shown."""
    words = [f"python -m benchmarks.{app} {measurement}"]
    for name, value in values.items():
        words.append(f"{name}={Path(str(value)).name if name in paths and value else value}")
    return " ".join(words)


def from_records(
    name: str,
    folder: Path,
    output: str | None,
    render_card: Callable[[Sequence[dict[str, Any]]], str],
    others: Sequence[str],
) -> None:
    """Write the model card (to `output`) or the page of all records (beside them).

    others: what else `name` might have been. Raises InputError where it is neither, or a card has no output.
    """
    if name == "card":
        if not output:
            raise InputError("output", "add output=FILE")
        write_text(Path(output), render_card(read_records(folder)))
    elif name == "page":
        write_text(folder / "README.md", render_page(read_records(folder)))
    else:
        choices = ", ".join([*others, "card", "page"])
        raise InputError("measurement", f"{name!r} is not a measurement; there are {choices}")
