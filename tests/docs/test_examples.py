"""The Python examples of README and of the page on the Python API run as they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.nodule.data.dicom_samples import chest_series, save
from tests.docs.test_written_pages import blocks

EXAMPLES = [body for name, body in blocks("python") if name in ("README.md", "docs/python/index.md")]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_there_is_an_example_of_each_app_on_both_pages() -> None:
    for app in ("nodule", "risk", "imagegen"):
        assert sum(f"from apps.{app} import" in body for body in EXAMPLES) >= 2


@pytest.mark.parametrize("body", EXAMPLES)
def test_an_example_runs_and_gives_something(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(chest_series(), tmp_path / "scans")
    monkeypatch.chdir(tmp_path)
    exec(compile(body, "<example>", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.strip() or (tmp_path / "apple.png").stat().st_size > 1000
