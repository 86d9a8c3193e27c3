"""What lies in a folder, by first bytes and not by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from apps.nodule.data.files import Kind, find_files, path_hash, volume_suffix, voxel_files
from core.errors import InputError
from tests.apps.nodule.data.dicom_samples import chest_series, save


def types_of(folder: Path) -> dict[str, Kind]:
    return {file.relative: file.kind for file in find_files(folder)}


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_kinds_by_first_bytes(tmp_path: Path) -> None:
    part10 = save(chest_series()[:1], tmp_path)[0].read_bytes()
    (tmp_path / "000").unlink()
    write(tmp_path / "deep/er/IM0001", part10)
    write(tmp_path / "photo.jpg", part10)
    write(tmp_path / "no_preamble", part10[132:])
    write(tmp_path / "implicit_no_meta", bytes.fromhex("08000500 0a000000") + b"ISO_IR 100")
    write(tmp_path / "notes.dcm", b"these are notes")
    write(tmp_path / "1.2.840.113", b"\0\1\2\3" * 50)
    write(tmp_path / "README.txt", b"read me")
    write(tmp_path / "LICENSE", b"CC BY 3.0")
    write(tmp_path / "empty.dcm", b"")
    write(tmp_path / "IM0002", b"")
    write(tmp_path / "empty.txt", b"")
    write(tmp_path / "empty.nii.gz", b"")
    write(tmp_path / "CT.NII.GZ", b"x")
    assert types_of(tmp_path) == {
        "deep/er/IM0001": Kind.DICOM,
        "photo.jpg": Kind.DICOM,
        "no_preamble": Kind.DICOM,
        "implicit_no_meta": Kind.DICOM,
        "notes.dcm": Kind.FALSE_DICOM,
        "1.2.840.113": Kind.FALSE_DICOM,
        "README.txt": Kind.OTHER,
        "LICENSE": Kind.OTHER,
        "empty.dcm": Kind.EMPTY,
        "IM0002": Kind.EMPTY,
        "empty.txt": Kind.OTHER,
        "empty.nii.gz": Kind.EMPTY,
        "CT.NII.GZ": Kind.VOLUME,
    }


def test_order_is_by_relative_path(tmp_path: Path) -> None:
    for name in ("b/2.txt", "a.txt", "b/10.txt", "B.txt", "b/a/z.txt"):
        write(tmp_path / name, b"text")
    relative = [file.relative for file in find_files(tmp_path)]
    assert relative == ["B.txt", "a.txt", "b/10.txt", "b/2.txt", "b/a/z.txt"]


def test_litter_is_left_out(tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1-001.dcm", "sub/.ds_store"):
        write(tmp_path / name, b"\0\5\x16\7")
    assert find_files(tmp_path) == []


def test_a_directory_of_media_is_known_under_any_name() -> None:
    folder = Path(get_testdata_file("DICOMDIR")).parent
    assert (folder / "DICOMDIR-reordered").is_file()
    assert [name for name in types_of(folder) if name.startswith("DICOMDIR")] == []


def test_a_directory_that_is_none_is_what_its_bytes_say(tmp_path: Path) -> None:
    first, second = chest_series()[:2]
    save([first], tmp_path, "x")[0].rename(tmp_path / "DICOMDIR")
    second.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    save([second], tmp_path / "by class")
    write(tmp_path / "text/DICOMDIR", b"a list")
    write(tmp_path / "junk/DICOMDIR", b"\0\1\2\3" * 50)
    write(tmp_path / "empty/DICOMDIR", b"")
    assert types_of(tmp_path) == {
        "DICOMDIR": Kind.DICOM,
        "by class/000": Kind.DICOM,
        "text/DICOMDIR": Kind.OTHER,
        "junk/DICOMDIR": Kind.FALSE_DICOM,
        "empty/DICOMDIR": Kind.EMPTY,
    }


def test_voxel_files_belong_to_their_header(tmp_path: Path) -> None:
    write(tmp_path / "a.mhd", b"NDims = 3\nElementDataFile = a b.zraw\n")
    write(tmp_path / "a b.zraw", b"z")
    write(tmp_path / "c.nhdr", b"NRRD0004\ntype: short\ndata file: ./c.raw.gz\n")
    write(tmp_path / "c.raw.gz", b"z")
    write(tmp_path / "alone.raw", b"z")
    assert types_of(tmp_path) == {"a.mhd": Kind.VOLUME, "c.nhdr": Kind.VOLUME, "alone.raw": Kind.OTHER}
    assert voxel_files(tmp_path / "a.mhd") == [tmp_path / "a b.zraw"]
    assert voxel_files(tmp_path / "alone.raw") == []


def test_a_loop_of_links_is_entered_once(tmp_path: Path) -> None:
    write(tmp_path / "in/one.txt", b"text")
    (tmp_path / "in/again").symlink_to(tmp_path)
    (tmp_path / "in/dangling.dcm").symlink_to(tmp_path / "nowhere")
    assert types_of(tmp_path) == {"in/dangling.dcm": Kind.UNREADABLE, "in/one.txt": Kind.OTHER}


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "archive/one.txt", b"text")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "archive")
    assert types_of(tmp_path / "in") == {"link/one.txt": Kind.OTHER}


def test_a_folder_may_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "one.txt", b"text")
    write(tmp_path / "out/result.txt", b"text")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    relative = [file.relative for file in find_files(tmp_path, leave_out=[tmp_path / "out"])]
    assert relative == ["one.txt"]
    assert len(find_files(tmp_path, leave_out=[tmp_path / "nowhere"])) == 2


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.dcm")
    os.mkfifo(tmp_path / "pipe.mhd")
    assert types_of(tmp_path) == {"pipe.dcm": Kind.OTHER, "pipe.mhd": Kind.OTHER}


def test_a_folder_that_cannot_be_listed_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "bad/one.txt", b"text")
    write(tmp_path / "good/two.txt", b"text")
    scandir = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "bad":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    assert types_of(tmp_path) == {"bad": Kind.UNREADABLE, "good/two.txt": Kind.OTHER}


def test_one_file_may_be_the_input(tmp_path: Path) -> None:
    write(tmp_path / "scan.nii.gz", b"x")
    write(tmp_path / "other.nii.gz", b"x")
    assert types_of(tmp_path / "scan.nii.gz") == {"scan.nii.gz": Kind.VOLUME}


def test_nothing_there_is_an_error_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist") as caught:
        find_files(tmp_path / "nowhere")
    assert (caught.value.code, caught.value.exit_code) == ("input_missing", 2)


def test_names() -> None:
    assert [volume_suffix(name) for name in ("a.nii.gz", "a.NII", "a.gz", "a.mha", "nii")] == [
        ".nii.gz",
        ".nii",
        None,
        ".mha",
        None,
    ]
    assert path_hash("a/b") == path_hash("a/b") != path_hash("a/c")
    assert len(path_hash("a/b")) == 8
