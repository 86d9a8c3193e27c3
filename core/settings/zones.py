"""Names of time zones."""

from __future__ import annotations

import zoneinfo

from core.settings.reasons import SETTINGS


def is_zone(name: str) -> bool:
    """Whether a time zone of this name is known here."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def check_zone(option: str, name: str | None) -> None:
    """Raise ConfigError for an option that names no time zone; None passes."""
    if name is not None and not is_zone(name):
        raise SETTINGS("config_zone", name=option, value=name)
