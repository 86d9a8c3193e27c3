"""The forms of an answer to a study: JSON, a zip archive of what stage=infer writes, or its DICOM objects."""

from __future__ import annotations

import json
import secrets
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from apps.nodule.report.study_answer import OK, series_answer, study_answer
from apps.nodule.service.reasons import ANSWER
from core.serving.errors import default_error_body, json_response
from core.serving.service_error import ServiceError

JSON, ZIP, DICOM = "application/json", "application/zip", "multipart/related"
FORMS = (JSON, ZIP, DICOM)
_CHUNK = 1 << 20
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can name: the same results are the same bytes


def form_of(accept: str) -> str:
    """Return the form that an Accept header prefers, JSON where it leaves the choice. Raises ServiceError 406."""
    weighed: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept.split(",") if accept.strip() else ("*/*",)):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        form = next((one for one in FORMS if kind in (one, "*/*", one.partition("/")[0] + "/*")), None)
        if form is not None and (weight := _weight(parameters)) > 0:
            weighed.append((-weight, number, form))
    if not weighed:
        raise ANSWER("not_acceptable", forms=", ".join(FORMS))
    return min(weighed)[2]


def _weight(parameters: Sequence[str]) -> float:
    text = next((word[2:] for word in parameters if word.startswith("q=")), "1")
    try:
        return float(text)
    except ValueError:
        return 0.0


def answer(rows: Sequence[Mapping[str, Any]], results: Path, form: str) -> Response:
    """Return the answer in a form, made from the rows of summary.csv and the folder of results.

    Where no series was searched it is an error with status 422, in JSON.
    """
    series = [series_answer(row, _report(results / row["series"])) for row in rows]
    status, content = study_answer(series)
    if status != OK:
        error = ServiceError(status, content["error"]["code"], content["error"]["sentence"])
        return json_response({**content, **default_error_body(error)}, status)
    if form == JSON:
        return json_response(content)
    return _zipped(results) if form == ZIP else _objects(results)


def _report(folder: Path) -> dict[str, Any] | None:
    file = folder / "report.json"
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else None


def _zipped(results: Path) -> Response:
    file = results.with_suffix(".zip")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(results):
            name = path.relative_to(results).as_posix()
            with path.open("rb") as source, archive.open(zipfile.ZipInfo(name, _TIME), "w") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
    return FileResponse(file, media_type=ZIP)


def _objects(results: Path) -> Response:
    """Return SR, SEG and secondary captures as DICOMweb sends several instances (DICOM PS3.18, 8.6.1.2)."""
    file, boundary = results.with_suffix(".parts"), f"triptych-{secrets.token_hex(16)}"
    with file.open("wb") as target:
        for path in _files(results):
            if path.suffix == ".dcm":
                target.write(f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode())
                target.write(path.read_bytes() + b"\r\n")
        target.write(f"--{boundary}--\r\n".encode())
    return FileResponse(file, media_type=f'{DICOM}; type="application/dicom"; boundary={boundary}')


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


class Finally(Response):
    """An answer, and what is done once it was sent or the client left."""

    def __init__(self, response: Response, then: Callable[[], None]) -> None:
        super().__init__()
        self._response = response
        self._then = then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await self._response(scope, receive, send)
        finally:
            self._then()
