"""Read the options of a command line (`-m`, `--cfg job`, `--help` …); all else is an override for Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.cli.reasons import CONFIG
from core.text.nearest import nearest

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
            raise CONFIG("config_option", option=option, nearest=nearest(option, OPTIONS, cutoff=0.0))
    return line


def _take(line: CommandLine, option: str, value: str) -> None:
    if option in ("--config-dir", "-cd"):
        if not value:
            raise CONFIG("config_folder", option=option)
        line.folders.append(value)
    elif value == "job":
        line.show_config = True
    else:
        raise CONFIG("config_show", option=option)
