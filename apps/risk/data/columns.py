"""What the columns of a long table are called, and what each is for.

One row is one entity (a client, an asset, a series) at one time. Names come from one YAML file or from the
command line; everything that reads a table gets them as one `Columns`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.risk.reasons import INPUTS, OPTIONS
from core.settings.zones import check_zone
from core.text.nearest import did_you_mean
from core.text.quoting import shortened

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
    them together; an entity without one is forecast alone.
    zone: time zone into which times with an offset are converted; without it times are taken as written and one
    table has one offset. time_format: how times are written where they are not ISO 8601, as for strptime. decimal:
    "point" or "comma", the decimal mark, where a table's numbers do not show it (apps.risk.data.numerals).
    Raises ConfigError where a column has two roles or nothing is to be forecast.

    >>> from apps import risk
    >>> risk.Columns(entity="asset", time="day", targets=("return",)).all
    ('asset', 'day', 'return')
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
            raise OPTIONS("role_doubled", column=doubled[0])
        if any(not name for name in names) or FAULT in names:
            raise OPTIONS("column_name", name=FAULT)
        if not self.labels:
            raise OPTIONS("nothing_to_forecast")
        if self.decimal not in (None, "point", "comma"):
            raise OPTIONS("decimal_unknown", value=shortened(self.decimal))
        check_zone("zone", self.zone)

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

    def require(self, names: Iterable[str], where: str = "the table") -> None:
        """Raise InputError, naming the nearest column there is, where one is missing."""
        present = [str(name) for name in names]
        missing = [name for name in self.all if name not in present]
        if missing:
            raise INPUTS(
                "column_missing",
                where=where,
                column=missing[0],
                count=len(missing),
                hint=did_you_mean(missing[0], present),
            )

    def require_once(self, names: Iterable[str], where: str) -> None:
        """Raise InputError, column_doubled, where a table has one of the columns more than once."""
        present = [str(name) for name in names]
        doubled = [name for name in self.all if present.count(name) > 1]
        if doubled:
            raise INPUTS("column_doubled", where=where, column=doubled[0])


def columns_from(content: Mapping[str, Any], where: str = "columns") -> Columns:
    """Build Columns from a mapping, as one YAML file or a section of the config gives it.

    Roles of several columns take a list, or comma-separated names in one text. Raises ConfigError.
    """
    fields = [field.name for field in dataclasses.fields(Columns)]
    unknown = [str(name) for name in content if name not in fields]
    if unknown:
        raise OPTIONS("role_unknown", where=where, name=unknown[0], hint=did_you_mean(unknown[0], fields))
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
        raise OPTIONS("columns_missing", path=path, cause=error.strerror) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OPTIONS("columns_unreadable", path=path) from error
    if not isinstance(content, dict):
        raise OPTIONS("columns_empty", path=path)
    return columns_from(content, where=str(path))


def _names(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise OPTIONS("role_not_names", role=where, value=shortened(str(value)))
    return tuple(name for name in (str(part).strip() for part in parts) if name)


def _name(value: Any, where: str) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple, dict)):
        raise OPTIONS("role_several_names", role=where, count=len(value))
    return str(value)
