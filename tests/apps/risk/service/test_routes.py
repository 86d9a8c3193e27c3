"""What openapi.json says of the scoring service."""

from __future__ import annotations

from fastapi import FastAPI

from apps.risk.service.forms import MEDIA_TYPES, Options, ScoreForm
from apps.risk.service.routes import score_routes
from core.serving.messages import Message


async def ask(message: Message) -> Message:
    return message


def test_the_schema_names_fields_media_types_and_statuses() -> None:
    app = FastAPI()
    app.include_router(score_routes(ask, dict))
    post = app.openapi()["paths"]["/v1/scores"]["post"]
    content = post["requestBody"]["content"]
    assert tuple(content) == MEDIA_TYPES
    assert set(content["application/json"]["schema"]["properties"]) == set(ScoreForm.model_fields)
    named = {each["name"] for each in post["parameters"]}
    assert set(Options.model_fields) | {"entity", "targets", "event"} <= named
    assert {"200", "429", "504"} <= set(post["responses"])
