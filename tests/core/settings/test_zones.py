from __future__ import annotations

import pytest

from core.errors import ConfigError
from core.settings.zones import check_zone, is_zone


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia"])
def test_zones(name: str) -> None:
    assert is_zone(name)
    check_zone("zone", name)
    check_zone("zone", None)


@pytest.mark.parametrize("name", ["", "Berlin", "../etc/passwd", "Europe", "a" * 300, "Europe/Köln", "a\0b"])
def test_other_names_are_refused(name: str) -> None:
    assert not is_zone(name)
    with pytest.raises(
        ConfigError, match=r"^data\.zone=.* is not a time zone: wanted a name such as Europe/Berlin"
    ):
        check_zone("data.zone", name)
