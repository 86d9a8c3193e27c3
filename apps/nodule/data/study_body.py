"""A study as the body of a request: a zip archive, a form of files, a DICOMweb multipart, or one DICOM file."""

from __future__ import annotations

import shutil
from email.message import Message
from pathlib import Path
from typing import IO, TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from apps.nodule.data.study_zip import MAGIC, MOST_FILES, free_path, unpack_zip, unpacking
from apps.nodule.reasons import STUDY

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

ZIP = ("application/zip", "application/x-zip-compressed")
DICOM = "application/dicom"
FORM = "multipart/form-data"
RELATED = "multipart/related"  # of DICOMweb's STOW-RS (DICOM PS3.18, 10.5)
TYPES = (*ZIP, FORM, RELATED, DICOM)
_CHUNK = 1 << 20
_ZIP_BEGIN = MAGIC + b"\x03\x04"


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type header, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def unpack_body(body: Path, content_type: str, folder: Path) -> None:
    """Write the files of a body into a folder; a zip archive that is the only file of a form is unpacked.

    content_type: one of TYPES, with the boundary of a multipart. Raises InputError: study_empty, study_parts, or as
    `unpack_zip` does.
    """
    kind = media_type(content_type)
    with unpacking(), body.open("rb") as source:
        if kind in ZIP:
            unpack_zip(source, folder)
        elif kind == DICOM:
            _copy_whole(source, folder)
        else:
            _unpack_parts(source, content_type, folder)
    if kind == FORM:
        files = [path for path in folder.rglob("*") if path.is_file()]
        if len(files) == 1 and _is_zip(files[0]):
            _unpack_part(files[0])


def _copy_whole(source: IO[bytes], folder: Path) -> None:
    with (folder / "instance").open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
        if not target.tell():
            raise STUDY("study_empty")


def _unpack_parts(source: IO[bytes], content_type: str, folder: Path) -> None:
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    parts = _Parts(folder)
    try:
        if not isinstance(boundary, str):
            raise FormParserError
        parser = MultipartParser(boundary, parts.callbacks())
        while chunk := source.read(_CHUNK):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise STUDY("study_parts") from error
    finally:
        parts.close()
    if not parts.ended:
        raise STUDY("study_empty" if not source.tell() else "study_parts")


class _Parts:
    """Writes the parts of a multipart body to files as they come."""

    def __init__(self, folder: Path) -> None:
        self.ended = False  # whether the last boundary was seen
        self._folder = folder
        self._count = 0
        self._headers = Message()
        self._name, self._value = b"", b""
        self._file: IO[bytes] | None = None

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_begin": self._begin_header,
            "on_header_field": self._take_name,
            "on_header_value": self._take_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._write,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        """End the file of the part under way."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        self._headers = Message()

    def _begin_header(self) -> None:
        self._name = self._value = b""

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.decode("latin-1")] = self._value.decode("utf-8", "replace")

    def _open(self) -> None:
        self._count += 1
        if self._count > MOST_FILES:
            raise STUDY("study_too_many_files", files=self._count, limit=MOST_FILES)
        name = self._headers.get_filename() or f"part-{self._count}"
        self._file = free_path(self._folder, name, self._count).open("wb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None  # opened when the part's headers ended
        self._file.write(data[start:end])

    def _end(self) -> None:
        self.ended = True


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP_BEGIN)) == _ZIP_BEGIN


def _unpack_part(path: Path) -> None:
    inside = path.with_name(path.name + ".unpacked")
    inside.mkdir()
    with path.open("rb") as source:
        unpack_zip(source, inside)
    path.unlink()
