"""Describe a config field once: default, unit, range, help; ranges are checked when an object is built.

The descriptions feed three readers: the checks here, the help page (`core.usage`) and the front door (`core.config`).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from core.errors import ConfigError

MISSING = "???"  # OmegaConf's own mark of a mandatory value


def setting(
    default: Any,
    about: str,
    *,
    unit: str = "",
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    needed_by: Sequence[str] = (),
) -> Any:
    """Declare one field of a config dataclass.

    unit: shown in help and errors. low / high: inclusive bounds; above: exclusive lower bound; each element of
    a list is checked. choices: allowed words. needed_by: stages that cannot run while the value is None.
    """
    metadata = {
        "about": about,
        "unit": unit,
        "low": low,
        "above": above,
        "high": high,
        "choices": tuple(choices),
        "needed_by": tuple(needed_by),
        "free_text": False,
    }
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def free_text(default: str | None, about: str, *, needed_by: Sequence[str] = ()) -> Any:
    """Declare a field that takes any text exactly as typed: a path, a sentence."""
    metadata = {"about": about, "needed_by": tuple(needed_by), "free_text": True}
    return dataclasses.field(default=default, metadata=metadata)


class Section:
    """Base of config dataclasses: checks its ranges when it is built.

    where: path of the section in the whole config ("trainer"), so that errors name the full path.
    """

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            name = f"{self.where}.{field.name}" if self.where else field.name
            check_value(name, getattr(self, field.name), field.metadata)


def refuse_password(name: str, url: str | None, cure: str) -> None:
    """Raise ConfigError for a URL with a password in it: the config is recorded in every run folder."""
    if url and re.search(r"//[^/@]*:[^/@]*@", url):
        raise ConfigError("config_password", f"{name} holds a password, and the config is recorded: {cure}")


def check_value(name: str, value: Any, metadata: Any) -> None:
    """Raise ConfigError when the value lies outside what the metadata allow; None and MISSING pass."""
    if value is None or value == MISSING:
        return
    choices = metadata.get("choices", ())
    if choices and value not in choices:
        raise ConfigError("config_choice", f"{name}={value} is not one of {', '.join(choices)}")
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            _check_number(name, value, number, metadata)


def _check_number(name: str, value: Any, number: float, metadata: Any) -> None:
    low, above, high = (metadata.get(key) for key in ("low", "above", "high"))
    inside = (
        math.isfinite(number)
        and (low is None or number >= low)
        and (above is None or number > above)
        and (high is None or number <= high)
    )
    if not inside:
        allowed = describe_range(metadata) or "finite"
        raise ConfigError(
            "config_range", f"{name}={value} is out of range: allowed is {allowed}; set {name} within it"
        )


def describe_range(metadata: Any) -> str:
    """Return the allowed range in words, with its unit; empty where there is none."""
    low, above, high = (metadata.get(key) for key in ("low", "above", "high"))
    words = []
    if above is not None:
        words.append(f"more than {above:g}")
    if low is not None and high is not None:
        words.append(f"{low:g} to {high:g}")
    elif low is not None:
        words.append(f"{low:g} or more")
    elif high is not None:
        words.append(f"at most {high:g}")
    text = " and ".join(words)
    unit = metadata.get("unit", "")
    return f"{text} {unit}".strip() if text else ""


def walk(schema: Any, prefix: str = "") -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """Yield (full path, field) of every leaf of a config dataclass, in the order of declaration."""
    instance = schema() if isinstance(schema, type) else schema
    for field in dataclasses.fields(instance):
        path = f"{prefix}.{field.name}" if prefix else field.name
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, path)
        else:
            yield path, field
