"""Requests to score, as they come over HTTP: a table, what its columns are, and the options of a scoring."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from apps.risk.data.columns import Columns, columns_from
from apps.risk.service.reasons import REQUEST
from core.errors import ConfigError
from core.serving.forms import json_object, read_form
from core.serving.service_error import ServiceError

JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
MEDIA_TYPES = (JSON, CSV, PARQUET)
EXAMPLE = '{"table": [{"entity": "a", "time": "2024-03-28", "target": 0.4}], "horizon": 10}'
ROLES = tuple(field.name for field in dataclasses.fields(Columns))

_TABLE = {
    "oneOf": [
        {"type": "array", "items": {"type": "object"}},
        {"type": "object", "additionalProperties": {"type": "array"}},
    ]
}


class Options(BaseModel):
    """Options of a scoring; what is left out or null is as the service was started, else as stage=score has it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    as_of: str | None = None
    """Date or time of which the future is unknown; null: the last one of the table."""
    horizon: int | None = None
    """Steps ahead of targets; an event's is that of its model."""
    paths: int | None = None
    """Futures of each series; null: as many as the model needs for steady numbers."""
    seed: int | None = None
    """Seed of what is drawn at random."""
    alert_share: float = 0.1
    """Share of clients, riskiest first, that are marked."""
    var_limit: float | None = None
    """Mark a series whose one-step 1 % VaR lies below minus this."""
    calendar: str | None = None
    """Days that are steps: weekdays, every_day, us_federal, nyse or target; null: the weekdays that a series has."""
    max_age: str | None = None
    """Age of a series' newest value above which it is refused, such as "3 steps"; off: any."""
    max_rejected: float = 0.05
    """Share of the rows, 0 to 1, that may be set aside."""
    layout: Literal["records", "columns"] = "records"
    """How the scores are written: an object a row, or a list a column."""


class ScoreForm(Options):
    """A request in JSON: the options, and what an address cannot hold."""

    table: Annotated[Any, WithJsonSchema(_TABLE)]
    """A list of objects, one a row, or an object of lists, one a column."""
    columns: dict[str, Any] | None = None
    """Role → name or names of columns: entity, time, targets, event …; null: those of the model's training."""
    portfolios: dict[str, dict[str, float]] | None = None
    """Name → entity → weight; null: one of equal weights."""


@dataclass(frozen=True)
class ScoreRequest:
    """A request, read. table: as JSON has it; None where the body is the table."""

    options: Options
    columns: Columns
    table: Any = None
    portfolios: Mapping[str, Mapping[str, float]] | None = None


def read_request(
    media_type: str, query: Sequence[tuple[str, str]], body: bytes, usual: Columns
) -> ScoreRequest:
    """Read a request. query: of the address. usual: roles where none are named.

    A body in JSON holds everything; beside a CSV or Parquet body the address holds options and roles. Raises
    ServiceError 400.
    """
    if media_type == JSON:
        if query:
            raise REQUEST("options_in_address", param=query[0][0][:100])
        form = read_form(ScoreForm, json_object(body, EXAMPLE))
        _check_texts(body, form)
        columns = usual if form.columns is None else _columns(form.columns)
        return ScoreRequest(form, columns, form.table, form.portfolios)
    values: dict[str, str] = {}
    for name, value in query:
        if name in values:
            raise REQUEST("option_twice", param=name[:100])
        values[name] = value
    roles = {name: values.pop(name) for name in ROLES if name in values}
    options = read_form(Options, values, strict=False)
    return ScoreRequest(options, _columns(roles) if roles else usual)


def _columns(content: Mapping[str, Any]) -> Columns:
    try:
        return columns_from(content)
    except ConfigError as error:
        raise ServiceError(400, error.code, error.sentence, "columns") from None


def _check_texts(body: bytes, form: ScoreForm) -> None:
    """Refuse half of a surrogate pair: only an escape can write it, and only where one is there all texts are read."""
    if b"\\u" not in body:
        return
    try:
        form.model_dump_json()
    except ValueError:
        raise REQUEST("table_text") from None
