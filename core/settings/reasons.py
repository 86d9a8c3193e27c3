"""Why a value of an option is refused."""

from __future__ import annotations

from core.errors import ConfigError
from core.reasons import Reasons


class UnknownField(ConfigError):
    """A configuration names a field that its schema does not have."""


SETTINGS = Reasons(
    ConfigError,
    "A value of an option",
    {
        "config_choice": "{name}={value} is not one of {choices}",
        "config_range": "{name}={value} is out of range: allowed is {allowed}; set {name} within it",
        "config_password": "{name} holds a password, and what is given is recorded: {cure}",
        "config_zone": "{name}={value} is not a time zone: wanted a name such as Europe/Berlin or UTC",
    },
)

UNKNOWN = Reasons(
    UnknownField,
    "A field that a configuration names and its schema does not have",
    {"config_unknown": 'unknown field "{name}" of {schema}'},
)
