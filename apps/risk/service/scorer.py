"""The model in its own process: a request as bytes in, the answer as bytes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.risk.api import score_rows_of
from apps.risk.data.columns import Columns
from apps.risk.models.risk_model import RiskModel, load_model
from apps.risk.scoring.scores import COLUMNS
from apps.risk.service.answers import answer_of
from apps.risk.service.forms import ScoreRequest, read_request
from apps.risk.service.tables import TableLimits, frame_of
from core.errors import ConfigError
from core.serving.messages import Message
from core.serving.service_error import ServiceError


class Scorer:
    """A loaded model that answers requests. model: arguments of `load_model`. defaults: options that a request leaves.

    limits: of a table. Raises what `load_model` raises.
    """

    def __init__(
        self, model: Mapping[str, Any], defaults: Mapping[str, Any], limits: Mapping[str, int]
    ) -> None:
        self._model = load_model(**model)
        self._defaults = dict(defaults)
        self._limits = TableLimits(**limits)
        trained = self._model.described.event
        self._usual = trained.columns if trained is not None and self._model.event is not None else Columns()
        self.about = _about(self._model, self._usual)

    def __call__(self, message: Message) -> Message:
        """Answer one request: {"media_type", "query"} and the array `body` → the array `answer`.

        Raises InputError as `score_table` does, and ServiceError.
        """
        media_type, body = message.content["media_type"], message.arrays["body"].tobytes()
        request = read_request(media_type, message.content["query"], body, self._usual)
        answer = self._answer(request, media_type, body)
        return Message({}, {"answer": np.frombuffer(answer, dtype=np.uint8)})

    def _answer(self, request: ScoreRequest, media_type: str, body: bytes) -> bytes:
        options = request.options.model_dump(include=_OPTIONS)
        for name, value in self._defaults.items():
            if options[name] is None:
                options[name] = value
        try:
            frame = frame_of(request, media_type, body, self._limits)
            scored = score_rows_of(
                frame, request.columns, self._model, portfolios=request.portfolios, **options
            )
        except ConfigError as error:  # of the command's options, which here are the request's
            raise ServiceError(400, error.code, error.sentence) from None
        return answer_of(scored, request.options.layout)


_OPTIONS = {
    "as_of", "horizon", "paths", "seed", "alert_share", "var_limit", "calendar", "max_age", "max_rejected",
}  # fmt: skip


def _about(model: RiskModel, usual: Columns) -> dict[str, Any]:
    parts: dict[str, Any] = {"targets": None, "event": None}
    if model.targets is not None:
        parts["targets"] = {"name": model.targets.name, "trained_until": model.described.until("targets")}
    if model.event is not None and model.described.event is not None:
        parts["event"] = {
            "name": model.event.name,
            "trained_until": model.described.until("event"),
            "horizon": model.described.event.horizon,
        }
    return {
        "digest": model.digest,
        **parts,
        "runtimes": dict(model.runtimes),
        "columns": {name: value for name, value in dataclasses.asdict(usual).items() if value},
        "score_columns": {
            name: {"unit": column.unit, "about": column.about} for name, column in COLUMNS.items()
        },
    }
