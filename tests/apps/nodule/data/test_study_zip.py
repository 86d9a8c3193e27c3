"""A zipped study: unpacked within limits, and refused with its reason."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from apps.nodule.data import study_zip
from apps.nodule.data.study_zip import unpack_zip
from core.errors import InputError


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def refused(data: bytes, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        unpack_zip(io.BytesIO(data), folder)
    return caught.value.code


def unpacked(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_files_come_out_as_they_went_in(tmp_path: Path, method: int) -> None:
    files = {"a/1": b"one", "a/2": bytes(3_000_000), "top": b"", "Ünï 言": b"x"}
    unpack_zip(io.BytesIO(zipped(files, method)), tmp_path)
    assert unpacked(tmp_path) == files


def test_names_stay_in_the_folder(tmp_path: Path) -> None:
    names = ["../../out", "/etc/x", "a/../../b", "C:\\d\\e", "..", "link"]
    data = zipped({name: name.encode() for name in names})
    inside = tmp_path / "deep" / "inside"
    unpack_zip(io.BytesIO(data), inside)
    assert unpacked(inside) == {
        "out": b"../../out", "etc/x": b"/etc/x", "a/b": b"a/../../b", "C:/d/e": b"C:\\d\\e", "unnamed": b"..",
        "link": b"link",
    }  # fmt: skip
    assert unpacked(tmp_path).keys() == {f"deep/inside/{name}" for name in unpacked(inside)}


def test_a_link_is_a_file(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    unpack_zip(io.BytesIO(stream.getvalue()), tmp_path)
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "/etc/passwd"


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    whole = zipped({"a": bytes(range(256)) * 40})
    assert refused(b"", tmp_path) == "study_empty"
    assert refused(b"DICM" * 100, tmp_path) == "study_not_zip"
    assert refused(whole[:-30], tmp_path) == "study_damaged"
    assert refused(whole.replace(whole[60:90], bytes(30)), tmp_path) == "study_damaged"
    assert refused(zipped({}), tmp_path) == "study_no_files"
    assert refused(zipped({"folder/": b""}), tmp_path) == "study_no_files"
    encrypted = bytearray(whole)
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    assert refused(bytes(encrypted), tmp_path) == "study_encrypted"
    unknown = bytearray(whole)
    for start in (8, whole.index(b"PK\x01\x02") + 10):
        unknown[start] = 97
    assert refused(bytes(unknown), tmp_path) == "study_damaged"


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["n" * 300]])
def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path, names: list[str]) -> None:
    assert refused(zipped(dict.fromkeys(names, b"")), tmp_path) == "study_name"


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_zip, "MOST_FILES", 3)
    unpack_zip(io.BytesIO(zipped(dict.fromkeys("abc", b""))), tmp_path)
    assert refused(zipped(dict.fromkeys("abcd", b"")), tmp_path / "more") == "study_too_many_files"
    assert not (tmp_path / "more").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_zip, "MOST_BYTES", 5_000_000)
    bomb = zipped({"a": bytes(3_000_000), "b": bytes(3_000_000)})
    assert len(bomb) < 10_000
    assert refused(bomb, tmp_path) == "study_too_large"
    assert sum(map(len, unpacked(tmp_path).values())) <= 5_000_000


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_zip, "MOST_BYTES", 2_000_000)
    bomb = bytearray(zipped({"a": bytes(3_000_000)}))
    for start in (22, bomb.index(b"PK\x01\x02") + 24):
        bomb[start : start + 4] = (1000).to_bytes(4, "little")
    # zipfile believes the size and reads no further; then the checksum is wrong
    assert refused(bytes(bomb), tmp_path) == "study_damaged"
    assert sum(map(len, unpacked(tmp_path).values())) <= 2_000_000


def test_a_full_disk_is_named(small_disk: Path) -> None:
    assert refused(zipped({"a": bytes(1_000_000)}), small_disk) == "study_no_room"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_one_name_are_all_kept(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in (("a/1.dcm", b"one"), ("a/1.dcm", b"two"), ("../a/1.dcm", b"three")):
            archive.writestr(name, data)
    unpack_zip(io.BytesIO(stream.getvalue()), tmp_path)
    assert sorted(unpacked(tmp_path).values()) == [b"one", b"three", b"two"]
