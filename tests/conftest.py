"""What every test gets: a clean environment, no network for models, and the real data where there is some."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.data.paths import data_root

# Before any test imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

# Variables that change what the program does; a test that wants one sets it.
OURS = ("TRIPTYCH_JOBS", "TRIPTYCH_LOG_KEY", "TRIPTYCH_RUN_DIR")
RANKS = ("LOCAL_RANK", "RANK", "SLURM_PROCID", "WORLD_SIZE")

_skipped: list[str] = []


@pytest.fixture(autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give each test an environment without our variables, and put the old one back after it."""
    before = dict(os.environ)
    for name in (*OURS, *RANKS):
        os.environ.pop(name, None)
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.getbasetemp() / "state")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = data_root()
    if folder is None:
        pytest.skip("no real data: neither $TRIPTYCH_DATA nor ../shared/data exists")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB: root may write past any permission, but not past the end of a disk."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a test of a full disk needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that load backends, and put the files with slow tests first, lest one comes last and alone."""
    for item in items:
        if _loads_backends(item.path):
            item.add_marker(pytest.mark.backends)
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("e2e", "realdata", "slow")))}
    items.sort(key=lambda item: item.path not in slow)


@functools.cache
def _loads_backends(path: Path) -> bool:
    return re.search(r"\bcore\.export\b|\bexported\b", path.read_text(encoding="utf-8")) is not None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and os.environ.get("TRIPTYCH_NO_SKIP"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("TRIPTYCH_NO_SKIP"):
        terminalreporter.write_line(
            f"failed: {len(_skipped)} skipped tests, and none may be skipped here", red=True
        )
