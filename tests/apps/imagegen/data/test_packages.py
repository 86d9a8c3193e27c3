from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from apps.imagegen.data.packages import FLUENT, INCEPTION, OTHER_STYLE, WORDS, Package, archive_of, files_of
from core.errors import InputError
from tests.apps.imagegen.packages_made import archive

# is-number 7.0.0 is 4 kB; its hash as `npm view is-number@7.0.0 dist.integrity` prints it
SMALL = Package(
    "is-number",
    "7.0.0",
    "MIT",
    "41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==",
)


def test_archives_are_named_as_npm_names_them() -> None:
    assert FLUENT.archive == "lobehub-fluent-emoji-3d-1.1.0.tgz"
    assert WORDS.archive == "emojibase-data-17.0.0.tgz"


def test_every_package_is_pinned_by_a_whole_hash() -> None:
    packages = (FLUENT, WORDS, OTHER_STYLE, INCEPTION)
    assert [len(package.sha512) for package in packages] == [88] * 4
    assert len({package.sha512 for package in packages}) == 4


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_package_is_fetched_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive_of(SMALL, tmp_path / "cache")
    assert b'"version": "7.0.0"' in files_of(path, ".", "package.json")["package.json"]
    monkeypatch.setenv("PATH", os.devnull)
    assert archive_of(SMALL, tmp_path / "cache") == path


def test_a_changed_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / SMALL.archive).write_bytes(b"something else")
    with pytest.raises(
        InputError, match=r"is-number-7\.0\.0\.tgz is not is-number 7\.0\.0: delete it"
    ) as caught:
        archive_of(SMALL, tmp_path)
    assert caught.value.code == "package_changed"


def test_without_npm_one_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(
        InputError, match=r"npm is needed to fetch is-number: install Node\.js, or put"
    ) as caught:
        archive_of(SMALL, tmp_path)
    assert caught.value.code == "npm_missing"


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_a_package_that_cannot_be_had_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    with pytest.raises(InputError, match=r"npm cannot fetch is-number 7\.0\.0: check the network") as caught:
        archive_of(SMALL, tmp_path)
    assert caught.value.code == "package_unreachable"


def test_files_of_one_folder_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "made.tgz"
    path.write_bytes(archive({"a/x.json": b"1", "a/b/y.json": b"2", "z.json": b"3", "a/x.txt": b"4"}))
    assert files_of(path, "a", ".json") == {"x.json": b"1"}
    assert files_of(path, ".", ".json") == {"z.json": b"3"}
