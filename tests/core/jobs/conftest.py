"""An empty store for each test: making the tables takes most of a second, copying a file does not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.jobs.store import Store


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jobs") / "empty.sqlite"
    Store(str(path)).close()
    return path


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Iterator[Store]:
    path = tmp_path / "jobs.sqlite"
    shutil.copy(empty_database, path)
    with Store(str(path)) as store:
        yield store
