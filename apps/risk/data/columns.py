"""What the columns of a long table are called, and what each is for.

One row is one entity (a client, an asset, a series) at one time. Names come from one YAML file or from the
command line; everything that reads a table gets them as one `Columns`.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from core.errors import ConfigError, InputError
from core.settings.zones import is_zone

# A reader of files puts here why a row could not be split into values; absent where all rows could.
FAULT = "__fault__"
# An accepted table has here by how many seconds each row's clock is ahead of UTC; absent where times have no offset.
OFFSET = "__offset__"

_LISTS = ("targets", "observed", "known", "statics", "static_numbers")


@dataclass(frozen=True)
class Columns:
    """Names of columns by role; each column has one role.

    entity, time: the key. known_at: the date at which the row's values became known; without it each row is known
    from its own time on. targets: numbers to forecast. event: 0 or 1, 1 in the period in which the event (a
    default) happens. observed: numbers known up to the forecast's date. known: numbers known in advance (planned
    payments, holidays). statics: categories of the entity; static_numbers: numbers of the entity; of both the last
    value known counts. group: a word that related entities share, however many they are, so that a model may look at
    them together; an entity without one is looked at alone.
    zone: time zone into which times with an offset are converted; without it times are taken as written and one
    table has one offset. time_format: how times are written where they are not ISO 8601, as for strptime. decimal:
    "point" or "comma", the mark before fractions, where a table's numbers do not tell (apps.risk.data.numerals).
    """

    entity: str = "entity"
    time: str = "time"
    targets: tuple[str, ...] = ("target",)
    event: str | None = None
    observed: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    statics: tuple[str, ...] = ()
    static_numbers: tuple[str, ...] = ()
    group: str | None = None
    known_at: str | None = None
    zone: str | None = None
    time_format: str | None = None
    decimal: str | None = None

    def __post_init__(self) -> None:
        names = self.all
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ConfigError(
                "config_choice", f"column '{doubled[0]}' has two roles: give each column one role"
            )
        if any(not name for name in names) or FAULT in names:
            raise ConfigError("config_choice", f"a column may not be called '{FAULT}' or have an empty name")
        if not self.labels:
            raise ConfigError("config_missing", "nothing to forecast: name a column in targets, or an event")
        if self.decimal not in (None, "point", "comma"):
            raise ConfigError(
                "config_choice", f"decimal={self.decimal} is no mark before fractions: wanted point or comma"
            )
        if self.zone is not None and not is_zone(self.zone):
            raise ConfigError(
                "config_choice",
                f"zone={self.zone} is no time zone: wanted a name such as Europe/Berlin or UTC",
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """What is forecast: targets, then the event."""
        return (*self.targets, *((self.event,) if self.event else ()))

    @property
    def features(self) -> tuple[str, ...]:
        """Columns with a value at each time, in the order of a panel: labels, observed, known."""
        return (*self.labels, *self.observed, *self.known)

    @property
    def words(self) -> tuple[str, ...]:
        """Columns that hold words: statics, and the group."""
        return (*self.statics, *((self.group,) if self.group else ()))

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that a table must have."""
        keys = (self.entity, self.time, *((self.known_at,) if self.known_at else ()))
        return (*keys, *self.features, *self.words, *self.static_numbers)

    def require(self, found: Iterable[str], where: str = "the table") -> None:
        """Raise InputError, naming the nearest column there is, where one is missing."""
        present = [str(name) for name in found]
        missing = [name for name in self.all if name not in present]
        if missing:
            more = f" ({len(missing)} columns are missing)" if len(missing) > 1 else ""
            raise InputError(
                "column_missing",
                f"{where} has no column '{missing[0]}'{more}: {nearest(missing[0], present)}",
            )


def columns_from(content: Mapping[str, Any], where: str = "columns") -> Columns:
    """Build Columns from a mapping, as one YAML file or a section of the config gives it.

    Roles of several columns take a list, or names in one text parted by commas. Raises ConfigError.
    """
    fields = [field.name for field in dataclasses.fields(Columns)]
    unknown = [str(name) for name in content if name not in fields]
    if unknown:
        raise ConfigError("config_unknown", f"{where} has no '{unknown[0]}': {nearest(unknown[0], fields)}")
    values: dict[str, Any] = {}
    for name, value in content.items():
        values[name] = _names(value, f"{where}.{name}") if name in _LISTS else _name(value, f"{where}.{name}")
    for name in ("entity", "time"):
        if values.get(name, name) is None:
            del values[name]
    if values.get("event"):
        values.setdefault("targets", ())  # an event alone is enough to forecast
    return Columns(**values)


def read_columns(path: Path) -> Columns:
    """Read Columns from a YAML file of `role: name` or `role: [names]`; raise ConfigError where that fails."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError("config_missing", f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("config_unreadable", f"{path} is no YAML in UTF-8") from error
    if not isinstance(content, dict):
        raise ConfigError(
            "config_unreadable", f"{path} holds no roles: wanted lines such as 'entity: client'"
        )
    return columns_from(content, where=str(path))


def nearest(name: str, choices: Iterable[str], most: int = 8) -> str:
    """Return 'did you mean …?' with the choice nearest to a misspelt name, or the choices there are."""
    options = list(choices)
    lower = {option.lower(): option for option in reversed(options)}
    found = difflib.get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    if found:
        return f"did you mean '{lower[found[0]]}'?"
    if not options:
        return "there is none at all"
    more = ", …" if len(options) > most else ""
    return f"there are {', '.join(options[:most])}{more}"


def _names(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise ConfigError("config_type", f"{where}={value} is no list of column names")
    return tuple(name for name in (str(part).strip() for part in parts) if name)


def _name(value: Any, where: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple, dict)):
        raise ConfigError("config_type", f"{where} takes one name, not {len(value)}")
    return str(value)
