"""model.json: what a model folder holds, and which of its models is the champion; read and written here alone.

Format 2 has a riskformer of targets that was trained on the columns of one table (covariates), format 1 has none.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.risk.data.columns import Columns
from apps.risk.data.panel import Categories
from apps.risk.reasons import INPUTS
from core.runs.files import make_folder, write_json

FILE = "model.json"
FORMAT = 2
PARTS = ("targets", "event")


@dataclass(frozen=True)
class TargetsPart:
    """The models of targets. models: name → what its files need. until: the last date of the training."""

    champion: str
    models: Mapping[str, Mapping[str, Any]]
    until: str | None = None


@dataclass(frozen=True)
class EventPart:
    """The models of an event. horizon: steps within which it is asked for. columns, categories: of the training."""

    champion: str
    models: Mapping[str, Mapping[str, Any]]
    horizon: int
    columns: Columns
    categories: Categories
    until: str | None = None


@dataclass(frozen=True)
class Description:
    """What model.json says; None where the folder has no such models."""

    targets: TargetsPart | None = None
    event: EventPart | None = None

    @property
    def format(self) -> int:
        """The oldest format that can hold it: a program that knows only that one can read it."""
        models = self.targets.models if self.targets is not None else {}
        return 2 if any("covariates" in model for model in models.values()) else 1

    @property
    def categories(self) -> Categories | None:
        """The categories that the models of the event were trained with."""
        return None if self.event is None else self.event.categories

    def names(self, part: str) -> tuple[str, ...]:
        """Return the trained models of "targets" or "event", in the file's order."""
        described = self._part(part)
        return () if described is None else tuple(described.models)

    def until(self, part: str) -> str | None:
        """Return the last date of the training of "targets" or "event", where it is known."""
        described = self._part(part)
        return None if described is None else described.until

    def _part(self, part: str) -> TargetsPart | EventPart | None:
        return self.targets if part == "targets" else self.event


def write_description(folder: Path, description: Description) -> None:
    """Write model.json; the last thing to be written of a folder."""
    content: dict[str, Any] = {"format": description.format}
    for part in PARTS:
        described = getattr(description, part)
        if described is not None:
            fields = dataclasses.asdict(described)
            content[part] = {name: value for name, value in fields.items() if value is not None}
    write_json(make_folder(folder) / FILE, content)


def read_description(folder: Path) -> Description:
    """Return what model.json of a folder says.

    Raises InputError: weights_missing, description_unreadable, description_field_missing, description_field_unknown,
    weights_newer.
    """
    path = folder / FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = int(content["format"])
    except FileNotFoundError as error:
        raise INPUTS("weights_missing", folder=folder, file=FILE) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise INPUTS("description_unreadable", path=path) from error
    if version > FORMAT:
        raise INPUTS("weights_newer", path=path, format=version, newest=FORMAT)
    _require_fields(path, "", content, required=("format",), optional=PARTS)
    try:
        return Description(
            targets=_targets(path, content.get("targets")), event=_event(path, content.get("event"))
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise INPUTS("description_unreadable", path=path) from error


def columns_of(content: Mapping[str, Any]) -> Columns:
    """Return Columns from what JSON made of them. Raises TypeError for a role that does not exist."""
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return Columns(**values)


def _targets(path: Path, content: Mapping[str, Any] | None) -> TargetsPart | None:
    if content is None:
        return None
    _require_fields(path, "targets.", content, required=("champion", "models"), optional=("until",))
    return TargetsPart(str(content["champion"]), dict(content["models"]), content.get("until"))


def _event(path: Path, content: Mapping[str, Any] | None) -> EventPart | None:
    if content is None:
        return None
    needed = ("champion", "models", "horizon", "columns", "categories")
    _require_fields(path, "event.", content, required=needed, optional=("until",))
    return EventPart(
        champion=str(content["champion"]),
        models=dict(content["models"]),
        horizon=int(content["horizon"]),
        columns=columns_of(content["columns"]),
        categories={name: tuple(words) for name, words in content["categories"].items()},
        until=content.get("until"),
    )


def _require_fields(
    path: Path, where: str, content: Mapping[str, Any], required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    if not isinstance(content, dict):
        raise INPUTS("description_unreadable", path=path)
    for name in required:
        if name not in content:
            raise INPUTS("description_field_missing", path=path, field=f"{where}{name}")
    for name in content:
        if name not in (*required, *optional):
            raise INPUTS("description_field_unknown", path=path, field=f"{where}{name}")
