"""The forms of an answer: which one a client gets, and that each holds what stage=infer writes."""

from __future__ import annotations

import asyncio
import io
import zipfile
from email import message_from_bytes
from pathlib import Path

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from apps.nodule.service.answers import DICOM, JSON, ZIP, Finally, answer, form_of
from core.serving.service_error import ServiceError

ROW = {"series": "1.2", "status": "accepted", "reason": "ct_series", "detail": "A sentence."}
FILES = {
    "1.2/report.json": b'{"findings": []}',
    "1.2/sc/01.dcm": b"\r\n--sc",
    "1.2/sr.dcm": bytes(range(256)),
    "summary.csv": b"series\n",
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        path = tmp_path / "results" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/zip", ZIP),
        ("text/html, application/zip;q=0.9, */*;q=0.1", ZIP),
        ("application/json;q=0.5, APPLICATION/ZIP", ZIP),
        ('multipart/related; type="application/dicom"', DICOM),
        ("application/zip;q=0, multipart/*;q=0.2", DICOM),
        ("application/zip;q=high, application/json", JSON),
    ],
)
def test_accept_chooses_the_form(accept: str, form: str) -> None:
    assert form_of(accept) == form


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", ";", "application/xml, image/*"])
def test_other_forms_are_406(accept: str) -> None:
    with pytest.raises(ServiceError) as caught:
        form_of(accept)
    assert (caught.value.status, caught.value.code) == (406, "not_acceptable")


def sent(response: object, tmp_path: Path) -> httpx.Response:
    """What a client gets of a response."""

    async def app(scope: Message, receive: object, send: object) -> None:
        await response(scope, receive, send)  # type: ignore[operator]

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:  # type: ignore[arg-type]
            return await client.get("http://x")

    return asyncio.run(get())


def test_json_holds_the_report(results: Path, tmp_path: Path) -> None:
    content = sent(answer([ROW], results, JSON), tmp_path).json()
    assert content["series"][0]["report"] == {"findings": []}


def test_a_zip_archive_holds_all_files_and_is_the_same_each_time(results: Path, tmp_path: Path) -> None:
    first = sent(answer([ROW], results, ZIP), tmp_path).content
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    assert sent(answer([ROW], results, ZIP), tmp_path).content == first


def test_a_multipart_holds_the_dicom_objects(results: Path, tmp_path: Path) -> None:
    got = sent(answer([ROW], results, DICOM), tmp_path)
    head = f"Content-Type: {got.headers['content-type']}\r\n\r\n".encode()
    parsed = message_from_bytes(head + got.content)
    assert (parsed.get_content_type(), parsed.get_param("type")) == ("multipart/related", "application/dicom")
    assert [part.get_content_type() for part in parsed.get_payload()] == ["application/dicom"] * 2  # type: ignore[union-attr]
    pieces = got.content.split(b"Content-Type: application/dicom\r\n\r\n")[1:]
    assert [piece.rpartition(b"\r\n--triptych-")[0] for piece in pieces] == [
        FILES["1.2/sc/01.dcm"],
        FILES["1.2/sr.dcm"],
    ]


@pytest.mark.parametrize("form", [JSON, ZIP, DICOM])
def test_a_study_without_a_searched_series_is_422(tmp_path: Path, form: str) -> None:
    skipped = {**ROW, "status": "skipped", "reason": "localiser"}
    got = sent(answer([skipped], tmp_path, form), tmp_path)
    assert got.status_code == 422
    assert got.json()["error"]["code"] == "study_not_searched"
    assert got.json()["series"][0]["reason"] == "localiser"


def test_what_follows_an_answer_is_done_also_where_sending_fails() -> None:
    done: list[str] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        raise ConnectionResetError

    response = Finally(PlainTextResponse("x"), lambda: done.append("removed"))
    with pytest.raises(ConnectionResetError):
        asyncio.run(response({"type": "http"}, receive, send))
    assert done == ["removed"]
