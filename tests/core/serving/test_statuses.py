"""openapi.json lists what is answered, and nothing that never is."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from core.serving.statuses import real_statuses, statuses


def test_own_and_common_statuses_are_listed_and_422_is_not() -> None:
    routes = APIRouter()

    @routes.get("/things/{name}", responses=statuses(404))
    async def thing(name: str) -> Response:
        return Response(name)

    @routes.post("/things", responses=statuses(429, media_types=("application/json", "text/event-stream")))
    async def make() -> Response:
        return Response()

    @routes.delete("/things/{name}", status_code=204, responses=statuses(404, ok=204, media_types=()))
    async def drop(name: str) -> Response:
        return Response(name, 204)

    app = FastAPI()
    app.include_router(routes)
    app.openapi = real_statuses(app)  # type: ignore[method-assign]
    for _ in range(2):
        paths = app.openapi()["paths"]
        assert list(paths["/things/{name}"]["get"]["responses"]) == [
            "200",
            "404",
            "414",
            "421",
            "431",
            "500",
            "503",
        ]
        made = paths["/things"]["post"]["responses"]
        assert list(made) == [
            "200", "400", "403", "408", "413", "414", "415", "421", "429", "431", "500", "503",
        ]  # fmt: skip
        assert set(made["200"]["content"]) == {"application/json", "text/event-stream"}
        schema = made["429"]["content"]["application/json"]["schema"]
        assert schema["properties"]["error"]["required"] == ["message", "code"]
        assert list(paths["/things/{name}"]["delete"]["responses"])[:2] == ["204", "403"]
    assert "HTTPValidationError" not in str(app.openapi())
