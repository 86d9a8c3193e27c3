"""Read the options of a command line (`-m`, `--cfg job`, `--help` …); all else is an override for Hydra."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import ConfigError

SWITCHES = {
    "-h": "help",
    "--help": "help",
    "-m": "multirun",
    "--multirun": "multirun",
    "--version": "version",
}
OPTIONS = ("--cfg", "--config-dir", "--help", "--multirun", "--version")


@dataclass
class CommandLine:
    """What was asked for, besides the overrides themselves."""

    overrides: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    help: bool = False
    multirun: bool = False
    version: bool = False
    show_config: bool = False


def read_command_line(argv: Sequence[str]) -> CommandLine:
    """Split the arguments into options and overrides; raise ConfigError for an unknown option."""
    line = CommandLine()
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            line.overrides.append(word)
        elif word in SWITCHES:
            setattr(line, SWITCHES[word], True)
        elif option in ("--cfg", "-c", "--config-dir", "-cd"):
            _take(line, option, value if equals else next(words, ""))
        else:
            nearest = difflib.get_close_matches(option, OPTIONS, n=1, cutoff=0.0)[0]
            raise ConfigError("config_option", f"unknown option {option}; did you mean {nearest}?")
    return line


def _take(line: CommandLine, option: str, value: str) -> None:
    if option in ("--config-dir", "-cd"):
        if not value:
            raise ConfigError("config_option", f"{option} needs a folder with config groups of your own")
        line.folders.append(value)
    elif value == "job":
        line.show_config = True
    else:
        raise ConfigError("config_option", f"{option} takes job: it shows the composed config")
