"""The routes, around a search that the test gives: bodies, refusals, and that nothing of a study stays."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.nodule.reasons import STUDY
from apps.nodule.service.routes import study_routes
from apps.nodule.service.workspace import Workspace
from core.serving.app import make_app
from core.serving.limits import ServingLimits
from core.serving.metrics import Metrics
from tests.core.serving.service import client, until

ZIP = {"content-type": "application/zip"}


class Searched:
    """A search that writes what the body says, and takes note of it."""

    def __init__(self) -> None:
        self.bodies: list[tuple[bytes, str]] = []
        self.under_way = 0

    async def __call__(self, folder: str, content_type: str) -> list[dict[str, Any]]:
        body = (Path(folder) / "body").read_bytes()
        self.bodies.append((body, content_type))
        if body == b"wait":
            self.under_way += 1
            await asyncio.sleep(60)
        if body.startswith(b"study_"):
            raise STUDY(body.decode(), series="x")
        report = Path(folder) / "results" / "1.2" / "report.json"
        report.parent.mkdir(parents=True)
        report.write_text(json.dumps({"number_of_findings": len(body)}))
        return [{"series": "1.2", "status": "accepted", "reason": "ct_series", "detail": "A sentence."}]


@pytest.fixture
def searched() -> Searched:
    return Searched()


@pytest.fixture
def to(tmp_path: Path, searched: Searched) -> Iterator[httpx.Client]:
    workspace = Workspace(tmp_path / "studies")
    workspace.open()
    about = {"name": "compact", "version": "1", "threshold": 0.5}
    routes = study_routes(searched, lambda: about, workspace)
    limits = ServingLimits(body_bytes=1000)
    app = make_app("t", routes=[routes], ready=lambda: None, metrics=Metrics(), limits=limits)
    with client(app) as connected:
        yield connected


def nothing_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "studies").glob("*/*"))


def test_a_study_is_answered_and_not_kept(to: httpx.Client, searched: Searched, tmp_path: Path) -> None:
    got = to.post("/v1/studies", content=b"12345", headers=ZIP)
    assert (got.status_code, got.json()["series"][0]["report"]) == (200, {"number_of_findings": 5})
    assert searched.bodies == [(b"12345", "application/zip")]
    until(lambda: nothing_left(tmp_path))


@pytest.mark.parametrize(
    ("code", "status"),
    [("study_not_zip", 400), ("study_no_room", 507), ("study_fault", 500), ("study_not_searched", 422)],
)
def test_refusals_of_the_search_have_their_status(
    to: httpx.Client, tmp_path: Path, code: str, status: int
) -> None:
    got = to.post("/v1/studies", content=code.encode(), headers=ZIP)
    assert (got.status_code, got.json()["error"]["code"]) == (status, code)
    until(lambda: nothing_left(tmp_path))


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 415, "study_type"),
        ({"content-type": "text/html"}, 415, "study_type"),
        ({**ZIP, "accept": "image/png"}, 406, "not_acceptable"),
    ],
)
def test_other_forms_are_refused_unread(
    to: httpx.Client, searched: Searched, headers: dict[str, str], status: int, code: str
) -> None:
    got = to.post("/v1/studies", content=b"x", headers=headers)
    assert (got.status_code, got.json()["error"]["code"]) == (status, code)
    assert not searched.bodies


def test_a_large_body_is_413_and_not_kept(to: httpx.Client, searched: Searched, tmp_path: Path) -> None:
    got = to.post("/v1/studies", content=iter([bytes(600), bytes(600)]), headers=ZIP)
    assert (got.status_code, got.json()["error"]["code"]) == (413, "body_too_large")
    assert not searched.bodies
    until(lambda: nothing_left(tmp_path))


def test_a_client_that_leaves_ends_its_study(to: httpx.Client, searched: Searched, tmp_path: Path) -> None:
    with pytest.raises(httpx.ReadTimeout):
        to.post("/v1/studies", content=b"wait", headers=ZIP, timeout=0.3)
    until(lambda: nothing_left(tmp_path))
    assert searched.under_way == 1


def test_the_model_is_described(to: httpx.Client) -> None:
    assert to.get("/v1/model").json() == {"name": "compact", "version": "1", "threshold": 0.5}
