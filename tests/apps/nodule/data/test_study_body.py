"""A study as a body: every form of it gives the same files, and what is broken is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from apps.nodule.data import study_body
from apps.nodule.data.study_body import unpack_body
from core.errors import InputError
from tests.apps.nodule.data.test_study_zip import unpacked, zipped

FILES = {"1.dcm": b"\r\n--one", "2.dcm": bytes(range(256)) * 20_000, "3.dcm": b""}


def written(tmp_path: Path, body: bytes, content_type: str) -> dict[str, bytes]:
    (tmp_path / "body").write_bytes(body)
    folder = tmp_path / "study"
    folder.mkdir()
    unpack_body(tmp_path / "body", content_type, folder)
    return unpacked(folder)


def refused(tmp_path: Path, body: bytes, content_type: str) -> str:
    with pytest.raises(InputError) as caught:
        written(tmp_path, body, content_type)
    return caught.value.code


def form(files: dict[str, bytes]) -> tuple[bytes, str]:
    """A form as a foreign client encodes it."""
    sent = [("files", (name, data, "application/dicom")) for name, data in files.items()]
    request = httpx.Request("POST", "http://x", files=sent)
    return request.read(), request.headers["content-type"]


def related(*parts: bytes, end: bytes = b"--") -> bytes:
    head = b"--edge\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--edge" + end + b"\r\n"


def test_a_form_of_files(tmp_path: Path) -> None:
    assert written(tmp_path, *form(FILES)) == FILES


def test_a_form_of_one_zip_archive(tmp_path: Path) -> None:
    body, content_type = form({"study.zip": zipped(FILES)})
    assert written(tmp_path, body, content_type) == {
        f"study.zip.unpacked/{name}": data for name, data in FILES.items()
    }


def test_a_dicomweb_multipart(tmp_path: Path) -> None:
    body = related(*FILES.values())
    kind = 'multipart/related; type="application/dicom"; boundary=edge'
    files = written(tmp_path, body, kind)
    assert [files[f"part-{number}"] for number in (1, 2, 3)] == list(FILES.values())


@pytest.mark.parametrize("kind", study_body.ZIP)
def test_a_zip_archive(tmp_path: Path, kind: str) -> None:
    assert written(tmp_path, zipped(FILES), kind) == FILES


def test_one_instance(tmp_path: Path) -> None:
    assert written(tmp_path, b"DICM", "application/dicom") == {"instance": b"DICM"}


def test_names_stay_in_the_folder(tmp_path: Path) -> None:
    body, kind = form({"../../out": b"1", "/etc/x": b"2", "a\\b": b"3"})
    assert sorted(written(tmp_path, body, kind).values()) == [b"1", b"2", b"3"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "application/dicom", "study_empty"),
        (b"", "application/zip", "study_empty"),
        (b"", "multipart/related; boundary=edge", "study_empty"),
        (related(b"x"), "multipart/related", "study_parts"),
        (related(b"x"), "multipart/related; boundary=other", "study_parts"),
        (related(b"x", end=b""), "multipart/related; boundary=edge", "study_parts"),
        (related(b"x")[:-20], "multipart/form-data; boundary=edge", "study_parts"),
        (b"--edge\r\nno colon\r\n\r\n", "multipart/form-data; boundary=edge", "study_parts"),
        (b"--edge\r\n" + b"a: b\r\n" * 5000, "multipart/form-data; boundary=edge", "study_parts"),
        (b"x" * 5000, "multipart/form-data; boundary=" + "e" * 500, "study_parts"),
        (b"no archive", "application/zip", "study_not_zip"),
    ],
)
def test_what_is_broken_is_refused(tmp_path: Path, body: bytes, kind: str, code: str) -> None:
    assert refused(tmp_path, body, kind) == code


def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, *form({"n" * 300: b""})) == "study_name"


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_body, "MOST_FILES", 2)
    assert refused(tmp_path, *form(FILES)) == "study_too_many_files"


def test_a_full_disk_is_named(tmp_path: Path, small_disk: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(zipped({"a": bytes(1_000_000)}))
    with pytest.raises(InputError) as caught:
        unpack_body(body, "application/zip", small_disk)
    assert caught.value.code == "study_no_room"
    body.write_bytes(bytes(1_000_000))
    with pytest.raises(InputError) as caught:
        unpack_body(body, "application/dicom", small_disk)
    assert caught.value.code == "study_no_room"
